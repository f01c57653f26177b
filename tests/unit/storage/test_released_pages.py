"""Pages of mapped files are given back without what they hold."""

from __future__ import annotations

import mmap
import re
import sys
from pathlib import Path

import pytest

from mcp_memory.storage.qdrant_embedded.pages import let_go_of_pages

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells what is mapped, in /proc: run it there"
)
SIZE = 4 * 1024 * 1024


def _resident_kb(path: Path) -> int:
    entry = re.search(rf"{re.escape(str(path))}\n(?:.*\n)*?Rss:\s+(\d+) kB", Path("/proc/self/smaps").read_text())
    assert entry is not None
    return int(entry[1])


def _map(path: Path) -> mmap.mmap:
    path.write_bytes(b"\1" * SIZE)
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), SIZE)
    assert mapped[::4096].count(1) == SIZE // 4096  # every page is touched
    return mapped


def test_pages_of_a_folder_are_given_back_and_what_was_written_stays(tmp_path: Path) -> None:
    folder = tmp_path / "a store"
    folder.mkdir()
    with _map(folder / "page_0.dat") as mapped:
        mapped[10] = 7
        assert _resident_kb(folder / "page_0.dat") == SIZE // 1024
        let_go_of_pages(folder)
        assert _resident_kb(folder / "page_0.dat") == 0
        assert mapped[10] == 7
        assert (folder / "page_0.dat").read_bytes()[10] == 7


def test_other_files_keep_their_pages(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with _map(tmp_path / "other.dat"):
        let_go_of_pages(tmp_path / "store")
        assert _resident_kb(tmp_path / "other.dat") == SIZE // 1024
