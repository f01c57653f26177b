"""Reading a database changes not one byte of it, of its logs, or of what lies beside it; a live one is read consistently."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from mcp_memory.migration.sources.base import SourceChangedError, SourceError, SourceMemory
from mcp_memory.migration.sources.detect import source_at
from mcp_memory.migration.sources.sqlite import SqliteSource
from original_databases import Generation, build, insert, open_original, ordinary_rows

Listing = dict[str, tuple[int, int, str]]


def listing(folder: Path) -> Listing:
    """Every file with its mode, modification time and sha256."""
    return {
        path.name: (path.stat().st_mode, path.stat().st_mtime_ns, sha256(path.read_bytes()).hexdigest())
        for path in folder.iterdir()
    }


def read_all(path: Path) -> list[SourceMemory]:
    with SqliteSource(path) as source:
        source.inspect()
        return [item for batch in source.read(batch_size=50) for item in batch.memories]


@pytest.fixture
def private_temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where private copies are made, to see that nothing stays."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.mark.parametrize("generation", list(Generation), ids=lambda generation: generation.name)
def test_a_clean_database_stays_as_it_was(tmp_path: Path, private_temp: Path, generation: Generation) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = build(folder / "sqlite_vec.db", generation, ordinary_rows(80))
    before = listing(folder)

    assert len(read_all(path)) == 80

    assert listing(folder) == before
    assert list(before) == ["sqlite_vec.db"]
    assert not list(private_temp.iterdir())


@contextmanager
def left_by_a_killed_service(folder: Path, count: int) -> Iterator[Path]:
    """A database whose last rows are in a -wal that nobody checkpointed, as kill -9 leaves it."""
    folder.mkdir()
    build(folder / "live.db", Generation.V12_4, ordinary_rows(40))
    with open_original(folder / "live.db") as connection:
        insert(connection, Generation.V12_4, ordinary_rows(count, start=40))
        crashed = folder / "crashed"
        crashed.mkdir()
        for suffix in ("", "-wal", "-shm"):
            shutil.copyfile(folder / f"live.db{suffix}", crashed / f"sqlite_vec.db{suffix}")
    yield crashed / "sqlite_vec.db"


def test_a_crashed_database_is_read_with_its_log_and_stays_as_it_was(tmp_path: Path, private_temp: Path) -> None:
    with left_by_a_killed_service(tmp_path / "data", 60) as path:
        before = listing(path.parent)

        found = read_all(path)

        assert sorted(before) == ["sqlite_vec.db", "sqlite_vec.db-shm", "sqlite_vec.db-wal"]
        assert len(found) == 100
        assert all(item.vector is not None for item in found)
        assert listing(path.parent) == before
        assert not list(private_temp.iterdir())


def test_a_private_copy_is_as_private_as_the_original(tmp_path: Path, private_temp: Path) -> None:
    with left_by_a_killed_service(tmp_path / "data", 5) as path, SqliteSource(path) as source:
        assert source.inspect().private_copy
        (folder,) = private_temp.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_database_that_is_open_elsewhere_is_read_with_what_is_committed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = build(folder / "sqlite_vec.db", Generation.V12_4, ordinary_rows(40))
    with open_original(path) as connection:
        insert(connection, Generation.V12_4, ordinary_rows(10, start=40))
        connection.execute("BEGIN IMMEDIATE; UPDATE memories SET content = 'not committed'")
        before = listing(folder)

        found = read_all(path)

        assert listing(folder) == before
        assert len(found) == 50
        assert not [item for item in found if item.memory.content == "not committed"]
        connection.execute("ROLLBACK")


def test_a_hot_rollback_journal_is_rolled_back_in_the_copy_only(tmp_path: Path) -> None:
    folder, copy = tmp_path / "data", tmp_path / "copy"
    folder.mkdir()
    copy.mkdir()
    path = build(folder / "sqlite_vec.db", Generation.V8_66, ordinary_rows(40))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA cache_size=1")  # spill uncommitted pages into the file
    connection.execute("BEGIN")
    connection.execute("UPDATE memories SET content = 'not committed ' || hex(randomblob(2000))")
    for suffix in ("", "-journal"):
        shutil.copyfile(f"{path}{suffix}", copy / f"sqlite_vec.db{suffix}")
    connection.execute("ROLLBACK")
    connection.close()
    before = listing(copy)

    found = read_all(copy / "sqlite_vec.db")

    assert listing(copy) == before
    assert len(found) == 40
    assert not [item for item in found if item.memory.content.startswith("not committed")]


def test_a_read_only_mount_is_enough(tmp_path: Path) -> None:
    """Two cases: a clean database, and one with a log beside it."""
    mount = tmp_path / "mount"
    mount.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a tmpfs: run this test as root to see that a read-only mount works")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mount], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(
            f"this container may not mount a tmpfs ({mounted.stderr.strip()}): run it where CAP_SYS_ADMIN is given"
        )
    try:
        clean = build(mount / "clean.db", Generation.V10_59, ordinary_rows(40))
        with left_by_a_killed_service(tmp_path / "data", 10) as crashed:
            for suffix in ("", "-wal", "-shm"):
                shutil.copyfile(f"{crashed}{suffix}", mount / f"crashed.db{suffix}")
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
        before = listing(mount)

        assert len(read_all(clean)) == 40
        assert len(read_all(mount / "crashed.db")) == 50
        assert listing(mount) == before
    finally:
        subprocess.run(["umount", mount], check=True)


def test_a_folder_without_permission_to_write_is_enough(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = build(folder / "sqlite_vec.db", Generation.V12_4, ordinary_rows(40))
    path.chmod(0o400)
    folder.chmod(0o500)
    try:
        assert len(read_all(path)) == 40
    finally:
        folder.chmod(0o700)


def test_a_link_to_the_database_finds_the_log_beside_the_file_itself(tmp_path: Path) -> None:
    with left_by_a_killed_service(tmp_path / "data", 10) as path:
        link = tmp_path / "link.db"
        link.symlink_to(path)

        assert len(read_all(link)) == 50
        assert not list(tmp_path.glob("link.db-*"))


def test_a_write_to_a_clean_database_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = build(tmp_path / "sqlite_vec.db", Generation.V12_4, ordinary_rows(100))

    def read_while_somebody_writes() -> None:
        with SqliteSource(path) as source:
            for batch in source.read(batch_size=20):
                if batch.cursor == 40:
                    with open_original(path) as connection:
                        insert(connection, Generation.V12_4, ordinary_rows(5, start=100))

    with pytest.raises(SourceChangedError, match="Stop the service"):
        read_while_somebody_writes()


def test_a_fingerprint_changes_with_every_write_and_only_then(tmp_path: Path) -> None:
    path = build(tmp_path / "sqlite_vec.db", Generation.V12_4, ordinary_rows(10))

    def seen() -> object:
        with source_at(path) as source:
            return source.inspect().fingerprint

    first = seen()
    read_all(path)
    assert seen() == first
    with open_original(path) as connection:
        connection.execute("UPDATE memories SET tags = 'x' WHERE id = 1")
        assert seen() != first
    assert seen() != first


def test_no_room_for_a_private_copy_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with left_by_a_killed_service(tmp_path / "data", 5) as path:
        monkeypatch.setattr("mcp_memory.migration.sources.snapshot._copy", full)
        with pytest.raises(SourceError, match=r"No space left on device.*TMPDIR"):
            read_all(path)


WRITER = textwrap.dedent(
    """
    import sys
    from original_databases import Generation, OriginalRow, insert, open_original, unit_vector
    with open_original(sys.argv[1]) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=20")
        number = 0
        print("writing", flush=True)
        while True:
            # Pairs, so that half of one would show.
            rows = [OriginalRow(f"{number} {half}", unit_vector(number, 16), metadata=f'{{"pair": {number}}}') for half in "ab"]
            insert(connection, Generation.V12_4, rows)
            number += 1
    """
)


def test_a_live_writer_leaves_every_copy_consistent(tmp_path: Path) -> None:
    """A process writes pairs in transactions, with checkpoints and log restarts all the time; no read sees half of one."""
    path = build(tmp_path / "sqlite_vec.db", Generation.V12_4, dimensions=16)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        sizes = []
        refused = 0
        while len(sizes) < 25 and refused < 200:
            try:
                found = read_all(path)
            except SourceChangedError:
                refused += 1
                continue
            pairs = [item.memory.metadata["pair"] for item in found]
            assert pairs == sorted(list(range(len(pairs) // 2)) * 2)
            assert all(item.vector is not None for item in found)
            sizes.append(len(found))
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        if writer.stdout is not None:
            writer.stdout.close()

    assert len(sizes) == 25
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]
