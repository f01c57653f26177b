"""The sqlite-vec extension: found, checked, loaded.

sqlite-vec 0.1.6 holds a 32-bit ARM library in its wheel for 64-bit ARM; the loader's own message ("cannot open shared object
file") sends people looking for a missing file. The first bytes of the file say what it is.
"""

from __future__ import annotations

import platform
import struct
import sys
from pathlib import Path

import apsw

from mcp_memory.domain.errors import StorageError
from mcp_memory.native import reinstall_command

_ELF = b"\x7fELF"
_CLASSES = {1: 32, 2: 64}
_MACHINES = {3: "x86", 40: "ARM", 62: "x86-64", 183: "AArch64"}
_SUFFIXES = {"darwin": ".dylib", "win32": ".dll"}
_REMEDY = "Switch to the Qdrant backend:\n  export MCP_MEMORY_STORAGE_BACKEND=qdrant\n  memory server"


def load(connection: apsw.Connection) -> None:
    """Load sqlite-vec into a connection. Raises StorageError that names the cause and the way out."""
    import sqlite_vec  # noqa: PLC0415  (only this backend needs it)

    path = sqlite_vec.loadable_path()
    check_library(Path(path + _SUFFIXES.get(sys.platform, ".so")))
    try:
        connection.enable_load_extension(True)
        connection.load_extension(path)
        connection.enable_load_extension(False)
    except apsw.Error as error:
        raise StorageError(f"The sqlite-vec extension {path} can't be loaded: {error}.\n{_REMEDY}") from error


def check_library(path: Path) -> None:
    """Raises StorageError for a library of another word size or processor than this Python's. Only ELF files are judged."""
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except OSError as error:
        raise StorageError(
            f"The sqlite-vec extension {path} can't be read: {error.strerror}.\n"
            f"Install it again:  {reinstall_command()}"
        ) from error
    if not header.startswith(_ELF) or len(header) < 20:
        return
    bits, ours = _CLASSES.get(header[4]), struct.calcsize("P") * 8
    (machine,) = struct.unpack(("<" if header[5] == 1 else ">") + "H", header[18:20])
    if bits != ours:
        raise StorageError(
            f"wrong ELF class: ELFCLASS{bits}\n"
            f"The sqlite-vec extension {path} is a {bits}-bit {_MACHINES.get(machine, 'library')} library on a {ours}-bit "
            "machine: sqlite-vec 0.1.6 ships it so for ARM64.\n"
            f"Install 0.1.9 or later (uv pip install 'sqlite-vec>=0.1.9'), or:\n{_REMEDY}"
        )
    this = _this_machine()
    if this is not None and machine != this:
        raise StorageError(
            f"The sqlite-vec extension {path} is made for {_MACHINES.get(machine, f'machine {machine}')}, this machine is "
            f"{platform.machine()}.\nInstall it for this machine:  {reinstall_command()}\nor:\n{_REMEDY}"
        )


def _this_machine() -> int | None:
    return {"x86_64": 62, "amd64": 62, "aarch64": 183, "arm64": 183}.get(platform.machine().lower())
