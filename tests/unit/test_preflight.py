"""What would fail later is found before the start, and said in words."""

from __future__ import annotations

import os
import platform
import struct
from pathlib import Path

import pytest

from mcp_memory import native, preflight
from mcp_memory.domain.errors import ConfigurationError, StorageFullError

OTHER_MACHINE = {"x86_64": 183, "aarch64": 62, "arm64": 62}.get(platform.machine(), 62)


def elf(path: Path, *, bits: int, machine: int) -> Path:
    path.write_bytes(b"\x7fELF" + bytes([{32: 1, 64: 2}[bits], 1]) + bytes(12) + struct.pack("<H", machine) + bytes(44))
    return path


def test_this_installation_passes() -> None:
    files = list(native.native_files())
    assert len(files) > 8
    native.check_libraries(iter(files))


def test_library_for_another_processor_is_named(tmp_path: Path) -> None:
    wrong = elf(tmp_path / "vec0.so", bits=64, machine=OTHER_MACHINE)
    with pytest.raises(ConfigurationError, match=r"vec0\.so is made for another processor \(ELFCLASS64"):
        native.check_libraries(iter([wrong]))


def test_32_bit_library_is_named_as_the_elfclass32_it_is(tmp_path: Path) -> None:
    wrong = elf(tmp_path / "vec0.so", bits=32, machine=40)
    with pytest.raises(ConfigurationError, match="ELFCLASS32") as caught:
        native.check_libraries(iter([wrong]))
    assert native.advice() in str(caught.value)


def test_folder_that_is_not_there_yet_is_judged_by_the_one_above(tmp_path: Path) -> None:
    preflight.check_folder(tmp_path / "not" / "made" / "yet")


@pytest.mark.skipif(
    os.getuid() == 0, reason="root may write everywhere: run the tests as another user; the image tests do"
)
def test_folder_that_cannot_be_written_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match="is not writable") as caught:
        preflight.check_folder(tmp_path / "qdrant")
    assert f"chmod u+rwx {tmp_path}" in str(caught.value)


def test_folder_on_a_file_system_that_is_mounted_read_only_is_named_with_the_line_of_the_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = os.statvfs(tmp_path)
    read_only = os.statvfs_result((*mounted[:8], mounted.f_flag | os.ST_RDONLY, mounted[9]))
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "statvfs", lambda _: read_only)
    with pytest.raises(ConfigurationError, match="is not writable") as caught:
        preflight.check_folder(tmp_path / "qdrant")
    assert f"\n  ReadWritePaths={tmp_path / 'qdrant'}\n" in str(caught.value)
    assert "chmod" not in str(caught.value)


def test_full_disk_is_refused_before_a_store_is_made_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_free = os.statvfs_result((4096, 4096, 1000, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: nothing_free)
    with pytest.raises(StorageFullError, match="MCP_QDRANT_STORAGE_PATH"):
        preflight.check_space(tmp_path / "new", 0)
    preflight.check_space(tmp_path, 0)


@pytest.mark.parametrize("version", ["1.18.2", "v1.15.0", "0.11.0"])
def test_qdrant_that_aborts_on_large_pages_is_refused_with_a_way_out(version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"(?s)pages of 16 KiB.*v1\.19\.0") as caught:
        preflight.check_page_size(16384, "http://qdrant:6333", version)
    assert "kernel8.img" in str(caught.value)


@pytest.mark.parametrize("version", ["1.19.0", "1.20.3", "2.0.0"])
def test_qdrant_that_can_have_large_pages_passes(version: str) -> None:
    preflight.check_page_size(65536, "http://qdrant:6333", version)
