"""The lock, the record and the paths of an owner."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from mcp_memory.domain.errors import StorageBusyError, StorageError, StorageLockedError
from mcp_memory.owner.lock import FileLock, Holder, read_holder
from mcp_memory.owner.ownership import Ownership
from mcp_memory.owner.paths import SOCKET_PATH_BYTES, OwnerPaths
from mcp_memory.owner.record import (
    OwnerKind,
    OwnerRecord,
    parse_record,
    read_record,
    version_tuple,
    withdraw_record,
    write_record,
)
from unit.owner.small_service import store_at

HOLD = """
import sys, time
from pathlib import Path
from mcp_memory.owner.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
assert lock.try_acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_a_lock_has_one_holder_and_returns_when_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        lock = FileLock(path)
        assert not lock.try_acquire()
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert lock.try_acquire()
        assert not FileLock(path).try_acquire()
        lock.release()
        assert FileLock(path).try_acquire()


def test_a_lock_whose_file_is_deleted_in_between_is_taken_on_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.lock"
    opened, real = 0, os.open

    def open_and_lose_the_first(*arguments: Any) -> int:
        nonlocal opened
        fd = real(*arguments)
        opened += 1
        if opened == 1:
            path.unlink()
        return fd

    monkeypatch.setattr(os, "open", open_and_lose_the_first)
    lock = FileLock(path)
    assert lock.try_acquire()
    assert opened == 2
    assert not FileLock(path).try_acquire()
    lock.remove()
    assert not path.exists()
    assert lock.try_acquire()
    lock.release()


def test_the_lock_file_names_its_holder(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "x.lock")
    assert lock.try_acquire()
    lock.describe(Holder(pid=1, kind="server", command="a long command " * 20, since="2026-01-01T00:00:00Z"))
    lock.describe(Holder(pid=2, kind="server", command="memory server", since="2026-01-01T00:00:00Z"))
    assert read_holder(lock.path) == Holder(2, "server", "memory server", "2026-01-01T00:00:00Z")


def test_a_lock_file_is_never_followed_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "x.lock").symlink_to(tmp_path / "target")
    with pytest.raises(StorageError, match="Can't open the lock file"):
        FileLock(tmp_path / "x.lock").try_acquire()


def test_a_second_server_is_refused_by_folder_process_and_address(folder: Path) -> None:
    store = store_at(folder)
    with Ownership.acquire(store, OwnerKind.SERVER) as first:
        first.publish(tcp="http://127.0.0.1:8000")
        with pytest.raises(StorageLockedError) as caught:
            Ownership.acquire(store, OwnerKind.SERVER)
        message = caught.value.message
        for part in (str(folder), f"process {os.getpid()}", "since 20", "http://127.0.0.1:8000", f"kill {os.getpid()}"):
            assert part in message
    assert read_record(store.paths.record) is None
    assert not store.paths.socket().exists()
    with Ownership.acquire(store, OwnerKind.SERVER):
        pass


def test_maintenance_in_progress_says_so(folder: Path) -> None:
    store = store_at(folder)
    with (
        Ownership.acquire(store, OwnerKind.MAINTENANCE),
        pytest.raises(StorageBusyError, match="under maintenance by process"),
    ):
        Ownership.acquire(store, OwnerKind.SERVER)


def test_what_a_dead_owner_left_behind_is_no_obstacle(folder: Path) -> None:
    store = store_at(folder)
    left = Ownership.acquire(store, OwnerKind.SERVER)
    left.publish()
    left._lock.release()  # as the kernel does when a process is killed: record and socket stay
    with Ownership.acquire(store, OwnerKind.SERVER) as next_one:
        assert read_record(store.paths.record) is None
        next_one.publish()
        record = read_record(store.paths.record)
        assert record is not None
        assert record.address == f"unix:{store.paths.socket()}"


def test_a_socket_path_that_would_be_too_long_moves_to_the_runtime_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    path = OwnerPaths(deep).socket()
    assert path.is_relative_to(runtime)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path == OwnerPaths(deep).socket()
    assert path != OwnerPaths(deep / "other").socket()
    assert len(os.fsencode(OwnerPaths(Path("/srv/memory")).socket())) <= SOCKET_PATH_BYTES


def test_a_runtime_folder_that_others_can_open_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "mcp-memory").mkdir(mode=0o755)
    (tmp_path / "mcp-memory").chmod(0o755)
    with pytest.raises(StorageError, match="that nobody else can open"):
        OwnerPaths(tmp_path / ("d" * 120)).socket()


def a_record(**changes: object) -> OwnerRecord:
    values = {
        "pid": 1,
        "kind": OwnerKind.SERVER,
        "version": "1.2.3",
        "model": "m",
        "fingerprint": "f",
        "address": "unix:/x",
        "started_at": "2026-01-01T00:00:00Z",
    }
    return parse_record(values | changes)


def test_a_record_is_read_as_it_was_written_by_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "owner.json"
    record = a_record(address=f"unix:{tmp_path / 'owner.sock'}", token="secret", tcp="http://x")
    write_record(OwnerPaths(tmp_path), record)
    assert read_record(path) == record
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "secret" not in str(record.public())
    assert list(tmp_path.iterdir()) == [path]


def test_a_record_is_written_on_a_full_disk_where_an_owner_has_been_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> tuple[int, str]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    paths = OwnerPaths(tmp_path)
    first, second = (a_record(address=f"unix:{tmp_path / 'owner.sock'}", model=model) for model in ("longer name", "m"))
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "mkstemp", full)
        with pytest.raises(OSError, match="No space"):
            write_record(paths, first)
    write_record(paths, first)
    withdraw_record(paths)
    assert read_record(paths.record) is None
    monkeypatch.setattr(tempfile, "mkstemp", full)
    write_record(paths, second)
    assert read_record(paths.record) == second
    assert list(tmp_path.iterdir()) == [paths.record]


def test_a_record_of_a_later_version_is_read_and_a_broken_one_is_none(tmp_path: Path) -> None:
    assert a_record(something_new=1).pid == 1
    (tmp_path / "owner.json").write_text('{"pid": 1')
    assert read_record(tmp_path / "owner.json") is None
    assert read_record(tmp_path / "absent.json") is None


def test_versions_are_compared_by_number() -> None:
    assert version_tuple("1.10.0") > version_tuple("1.9.9")
    assert version_tuple("1.2.0rc1") == (1, 2, 0)
    assert version_tuple("unknown") == ()
