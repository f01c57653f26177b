"""A backup of a server that somebody else made: its archive is looked through before Qdrant is asked to unpack it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_memory.domain.errors import StorageFormatError
from mcp_memory.storage.qdrant_server import snapshots


def member(name: str, **fields: object) -> Callable[[tarfile.TarFile], None]:
    def add(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        for field, value in fields.items():
            setattr(info, field, value)
        archive.addfile(info, io.BytesIO(b"x" * info.size))

    return add


def archive(*members: Callable[[tarfile.TarFile], None]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as made:
        for add in members:
            add(made)
    return content.getvalue()


def nested(content: bytes) -> Callable[[tarfile.TarFile], None]:
    def add(made: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("0/segments/one.tar")
        info.size = len(content)
        made.addfile(info, io.BytesIO(content))

    return add


def backup(folder: Path, content: bytes, **changed: object) -> Path:
    folder.mkdir()
    (folder / "collection.snapshot").write_bytes(content)
    fields = {"product": "mcp-memory", "sha256": hashlib.sha256(content).hexdigest()} | changed
    (folder / "manifest.json").write_text(json.dumps(fields))
    return folder


GOOD = (member("0", type=tarfile.DIRTYPE), member("0/segments/one/x", size=4), member("config.json", size=2))


def test_what_qdrant_writes_passes(tmp_path: Path) -> None:
    assert snapshots.checked(backup(tmp_path / "b", archive(*GOOD, nested(archive(*GOOD)))))["product"] == "mcp-memory"


@pytest.mark.parametrize(
    "bad",
    [
        member("../x", size=1),
        member("/etc/x", size=1),
        member("0/../../x", size=1),
        member("..\\x", size=1),
        member("0/link", type=tarfile.SYMTYPE, linkname="/etc"),
        member("0/hard", type=tarfile.LNKTYPE, linkname="config.json"),
        member("0/pipe", type=tarfile.FIFOTYPE),
        member("0/device", type=tarfile.CHRTYPE),
        member("0/\x1b[2J", size=1),
    ],
)
def test_an_archive_that_leads_elsewhere_is_not_sent(tmp_path: Path, bad: Callable[[tarfile.TarFile], None]) -> None:
    for number, content in enumerate((archive(*GOOD, bad), archive(*GOOD, nested(archive(bad))))):
        with pytest.raises(StorageFormatError, match="It was not sent to Qdrant"):
            snapshots.checked(backup(tmp_path / str(number), content))


def test_an_archive_that_would_fill_the_disk_is_not_sent() -> None:
    assert "more than fits" in str(snapshots.archive_problem(io.BytesIO(archive(member("0/x", size=1_000))), 999))


def test_an_archive_that_is_shorter_than_it_says_is_refused(tmp_path: Path) -> None:
    cut = archive(member("0/x", size=100_000))[:50_000]
    with pytest.raises(StorageFormatError, match="no archive that can be read"):
        snapshots.checked(backup(tmp_path / "b", cut))


def test_a_manifest_of_another_kind_is_refused_in_words(tmp_path: Path) -> None:
    folder = backup(tmp_path / "b", archive(*GOOD))
    (folder / "manifest.json").write_text("[1]")
    with pytest.raises(StorageFormatError, match="is damaged"):
        snapshots.checked(folder)


def test_a_snapshot_behind_a_link_is_refused(tmp_path: Path) -> None:
    folder = backup(tmp_path / "b", archive(*GOOD))
    (folder / "collection.snapshot").rename(tmp_path / "elsewhere")
    (folder / "collection.snapshot").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFormatError, match="isn't a backup of a Qdrant server"):
        snapshots.checked(folder)
