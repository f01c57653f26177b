"""A file is replaced as a whole, on disk when that is said, and is its owner's alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mcp_memory.migration.files import replace_durably


def test_folders_are_made_and_file_and_folders_are_the_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file.json"
    replace_durably(path, b"one")
    replace_durably(path, b"two")

    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.json"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_can_not_be_written_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.json"
    replace_durably(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]


@pytest.mark.skipif(os.name != "posix", reason="folders are synced on POSIX systems alone")
def test_content_and_folder_are_synced_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(stat.S_ISDIR(os.fstat(file).st_mode)))
    replace_durably(tmp_path / "file.json", b"new")
    assert synced == [False, True]
