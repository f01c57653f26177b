"""Where the engine of a folder listens: `engine.sock` in it; a socket in the runtime folder where that path would be too long;
a loopback port with a random token where there are no Unix sockets. The latter two are named by `engine.json` (0600).
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from mcp_memory.domain.errors import StorageError
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder
from mcp_memory.storage.qdrant_embedded.manifest import replace_file
from mcp_memory.storage.qdrant_embedded.options import Transport
from mcp_memory.system.records import read_record

PATH_BYTES = 100
"""A Unix socket's path may have 107 bytes on Linux and 103 on macOS."""
BACKLOG = 512
_ADDRESS_BYTES = 4_096
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Address(msgspec.Struct, frozen=True, omit_defaults=True):
    """A Unix socket or a loopback port."""

    socket: str | None = None
    port: int | None = None
    token: str = ""


def default_transport() -> Transport:
    return Transport.UNIX if hasattr(socket, "AF_UNIX") and os.name == "posix" else Transport.TCP


def read_address(folder: StorageFolder) -> Address | None:
    """Where an engine of this folder listens, or listened last; None where none ever did.

    Only places that `listen` would choose: the path is connected to, and deleted at the end.
    """
    try:
        address = msgspec.json.decode(read_record(folder.address, limit=_ADDRESS_BYTES), type=Address)
        if _possible(folder, address):
            return address
    except (OSError, msgspec.MsgspecError):
        pass  # none written, or none that we wrote: the usual place is left
    return Address(socket=str(folder.socket)) if folder.socket.exists() else None


def _possible(folder: StorageFolder, address: Address) -> bool:
    if address.socket is None:
        return address.port is not None and 0 < address.port <= 65_535 and _TOKEN.fullmatch(address.token) is not None
    path = Path(address.socket)
    if address.port is not None or not hasattr(os, "getuid"):
        return False
    private = path.name == _socket_name(folder) and path.parent.name == f"mcp-memory-{os.getuid()}"
    return path == folder.socket or (
        private and path.is_absolute() and ".." not in path.parts and _is_private(path.parent)
    )


def listen(folder: StorageFolder, transport: Transport) -> tuple[socket.socket, Address]:
    """A listening socket, and how clients find it. Only for the holder of the folder's lock."""
    path = None if transport is Transport.TCP else _socket_path(folder)
    if path is None:
        server = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        address = Address(port=server.getsockname()[1], token=secrets.token_urlsafe(32))
        replace_file(folder.address, msgspec.json.encode(address))
        return server, address
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    path.chmod(0o600)
    server.listen(BACKLOG)
    address = Address(socket=str(path))
    if path == folder.socket:
        folder.address.unlink(missing_ok=True)
    else:
        replace_file(folder.address, msgspec.json.encode(address))
    return server, address


def _socket_path(folder: StorageFolder) -> Path | None:
    """The first place whose path is short enough for a Unix socket; None where there is none."""
    name = _socket_name(folder)
    bases = [base for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()) if base]
    paths = [folder.socket, *(Path(base) / f"mcp-memory-{os.getuid()}" / name for base in bases)]
    path = next((path for path in paths if len(os.fsencode(path)) <= PATH_BYTES), None)
    if path is not None and path != folder.socket:
        _make_private(path.parent)
    return path


def _socket_name(folder: StorageFolder) -> str:
    return f"{hashlib.sha256(os.fsencode(folder.path)).hexdigest()[:24]}.sock"


def forget(folder: StorageFolder, address: Address) -> None:
    """Take the address away before the lock is let go."""
    with suppress(OSError):
        if address.socket is not None:
            Path(address.socket).unlink(missing_ok=True)
        folder.address.unlink(missing_ok=True)


def _make_private(folder: Path) -> None:
    """A folder of this user alone. Raises StorageError where somebody else made it first."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_private(folder):
        raise StorageError(
            f"The folder {folder} for sockets isn't this user's alone.\nRemove it, or set XDG_RUNTIME_DIR to a private folder."
        )


def _is_private(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
