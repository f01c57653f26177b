"""Records, locks and leases that somebody else wrote: what they say is neither followed, printed nor obeyed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from pathlib import Path

import pytest
from small_service import store_at

from mcp_memory.domain.errors import StorageError
from mcp_memory.owner.connection import Connection
from mcp_memory.owner.lock import read_holder
from mcp_memory.owner.maintenance import LeaseFile
from mcp_memory.owner.paths import OwnerPaths
from mcp_memory.owner.record import read_record
from mcp_memory.owner.starter import open_log
from mcp_memory.system import peers

pytestmark = pytest.mark.anyio

RECORD = {
    "pid": 7,
    "kind": "server",
    "version": "1.2.3",
    "model": "m",
    "fingerprint": "f",
    "started_at": "2026-01-01T00:00:00Z",
}


def written(folder: Path, **changed: object) -> Path:
    path = folder / "owner.json"
    path.write_text(json.dumps(RECORD | {"address": f"unix:{folder / 'owner.sock'}"} | changed))
    return path


def test_the_folders_own_record_is_read(tmp_path: Path) -> None:
    assert read_record(written(tmp_path)) is not None


@pytest.mark.parametrize(
    "changed",
    [
        {"address": "tcp:198.51.100.7:80"},
        {"address": "tcp:127.0.0.1:80@evil"},
        {"address": "unix:/run/docker.sock"},
        {"address": "unix:owner.sock"},
        {"address": "http://198.51.100.7/"},
        {"address": None},
        {"pid": -1},
        {"pid": 0},
        {"pid": True},
        {"pid": "7; rm -rf ~"},
        {"version": "1.0\x1b[2J"},
        {"model": "m\nkill 1"},
        {"fingerprint": {"x": 1}},
        {"started_at": "now; reboot"},
        {"tcp": "http://user:pw@host/"},
        {"tcp": "javascript:alert(1)"},
        {"token": "t\r\nX-Other: 1"},
        {"protocol": "1"},
    ],
)
def test_a_record_that_no_owner_of_this_folder_writes_is_none(tmp_path: Path, changed: dict[str, object]) -> None:
    assert read_record(written(tmp_path, **changed)) is None


def test_a_socket_in_a_runtime_folder_counts_only_in_one_of_this_users(tmp_path: Path) -> None:
    paths = OwnerPaths(tmp_path / ("d" * 120))
    name = paths._name_elsewhere
    for folder, private in (("mcp-memory", True), ("other", False), (f"mcp-memory-{os.getuid()}", True)):
        (tmp_path / folder).mkdir(mode=0o700)
        assert paths.may_be_socket(tmp_path / folder / name) is private
        assert not paths.may_be_socket(tmp_path / folder / "other.sock")
        (tmp_path / folder).chmod(0o755)
        assert not paths.may_be_socket(tmp_path / folder / name)


def test_a_record_that_is_a_link_or_endless_is_none(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = written(elsewhere)
    (tmp_path / "owner.json").symlink_to(path)
    assert read_record(tmp_path / "owner.json") is None
    path.write_text(" " * 70_000 + path.read_text())
    assert read_record(path) is None


@pytest.mark.parametrize(
    "changed", [{"pid": -1}, {"pid": 0}, {"pid": "1"}, {"command": "x\x1b]0;y\x07"}, {"kind": 3}, {"since": "\u202e"}]
)
def test_a_lock_names_a_holder_that_can_be_shown_or_none(tmp_path: Path, changed: dict[str, object]) -> None:
    path = tmp_path / "owner.lock"
    good = {"pid": 7, "kind": "server", "command": "memory server", "since": "2026-01-01T00:00:00Z"}
    path.write_text(json.dumps(good))
    assert read_holder(path) is not None
    path.write_text(json.dumps(good | changed))
    assert read_holder(path) is None


@pytest.mark.parametrize(
    "changed", [{"until": 1e18}, {"until": float("inf")}, {"token": ""}, {"reason": "\x1b[2J"}, {"holder": ["x"]}]
)
def test_a_lease_that_no_owner_gives_keeps_nobody_out(tmp_path: Path, changed: dict[str, object]) -> None:
    path = tmp_path / "maintenance.json"
    good = {"token": "t", "holder": "memory migrate", "reason": "copying", "until": time.time() + 30}
    path.write_text(json.dumps(good))
    assert LeaseFile(path).current() is not None
    path.write_text(json.dumps(good | changed))
    assert LeaseFile(path).current() is None


def test_a_log_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "owner.log").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic"):
        open_log(store_at(tmp_path))


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="needs Linux, whose kernel tells a peer's user")
async def test_a_socket_that_another_user_answers_hears_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "owner.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        with socket.socket(socket.AF_UNIX) as ours:
            ours.connect(str(path))
            assert peers.peer_uid(ours) == os.geteuid()
            with pytest.raises(StorageError, match="user 4242") as caught:
                peers.check_peer(ours, str(path), uid_of=lambda _: 4242)
        assert "nothing was said" in caught.value.message
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
        with pytest.raises(StorageError, match="this is user 4242"):
            await Connection.open(f"unix:{path}")
        listening.settimeout(5)
        for _ in range(2):
            connection, _ = listening.accept()
            with connection:
                assert await asyncio.to_thread(connection.recv, 1) == b""
