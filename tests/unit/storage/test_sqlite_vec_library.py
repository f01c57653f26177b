"""A library of the wrong kind is told by name before the loader's own, misleading message."""

from __future__ import annotations

import struct
from pathlib import Path

import apsw
import pytest

from mcp_memory.domain.errors import StorageError
from mcp_memory.storage.sqlite_vec import library


def elf(path: Path, bits: int, machine: int) -> Path:
    """The first bytes of a shared library."""
    identity = b"\x7fELF" + bytes([{32: 1, 64: 2}[bits], 1, 1, 0]) + bytes(8)
    path.write_bytes(identity + struct.pack("<HH", 3, machine) + bytes(100))
    return path


def test_a_32_bit_library_on_a_64_bit_machine_is_told_with_the_guides_remedy(tmp_path: Path) -> None:
    """What the aarch64 wheel of sqlite-vec 0.1.6 holds."""
    path = elf(tmp_path / "vec0.so", 32, 40)

    with pytest.raises(StorageError) as caught:
        library.check_library(path)

    for part in (
        "wrong ELF class: ELFCLASS32",
        str(path),
        "32-bit ARM library on a 64-bit machine",
        "0.1.9",
        "export MCP_MEMORY_STORAGE_BACKEND=qdrant",
        "  memory server",
    ):
        assert part in caught.value.message


def test_a_library_of_another_processor_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")

    with pytest.raises(StorageError, match="made for x86-64, this machine is aarch64"):
        library.check_library(elf(tmp_path / "vec0.so", 64, 62))
    library.check_library(elf(tmp_path / "vec0.so", 64, 183))


def test_other_formats_are_left_to_the_loader(tmp_path: Path) -> None:
    path = tmp_path / "vec0.dylib"
    path.write_bytes(b"\xcf\xfa\xed\xfe" + bytes(100))

    library.check_library(path)


def test_a_library_that_is_missing_or_broken_is_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match=r"nowhere\.so can't be read"):
        library.check_library(tmp_path / "nowhere.so")
    broken = elf(tmp_path / "vec0.so", 64, library._this_machine() or 62)
    monkeypatch.setattr("sqlite_vec.loadable_path", lambda: str(broken.with_suffix("")))
    connection = apsw.Connection(":memory:")
    with pytest.raises(StorageError, match=r"vec0 can't be loaded(.|\n)*MCP_MEMORY_STORAGE_BACKEND=qdrant"):
        library.load(connection)
    connection.close()


def test_the_installed_library_is_loaded() -> None:
    connection = apsw.Connection(":memory:")
    library.load(connection)
    (version,) = connection.execute("SELECT vec_version()").fetchone() or ("",)
    connection.close()

    assert tuple(int(part) for part in str(version).strip("v").split(".")) >= (0, 1, 9)
