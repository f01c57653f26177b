"""OwnerClient against real processes: found, started, shared, replaced, and outlived."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from pathlib import Path

import psutil
import pytest

from mcp_memory import __version__
from mcp_memory.domain.errors import ConfigurationError, ModelChangedError, StorageBusyError, StorageUnavailableError
from mcp_memory.owner.client import OwnerClient
from mcp_memory.owner.gate import OwnerGate, OwnerState
from mcp_memory.owner.lock import FileLock
from mcp_memory.owner.maintenance import LeaseFile
from mcp_memory.owner.ownership import Ownership
from mcp_memory.owner.record import OwnerKind, read_record
from unit.owner.small_service import starter, store_at, until

pytestmark = pytest.mark.anyio


def client_at(
    folder: Path,
    *,
    idle: float = 60.0,
    fingerprint: str = "f",
    version: str = __version__,
    seconds_per_item: float = 0.0,
) -> OwnerClient:
    store = store_at(folder, idle=idle, fingerprint=fingerprint)
    return OwnerClient(store, start=starter(version=version, seconds_per_item=seconds_per_item), version=version)


def starts(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "starts.txt").read_text().split()]


def items(folder: Path) -> list[str]:
    return (folder / "items.txt").read_text().split()


async def gone(pid: int) -> None:
    await asyncio.to_thread(psutil.wait_procs, [psutil.Process(pid)] if psutil.pid_exists(pid) else [], 20)
    assert not psutil.pid_exists(pid)


async def test_clients_that_start_at_the_same_moment_share_one_owner(folder: Path) -> None:
    clients = [client_at(folder) for _ in range(8)]
    owners = await asyncio.gather(*(client.connect() for client in clients))
    assert len({owner.pid for owner in owners}) == 1
    assert starts(folder) == [owners[0].pid]
    for client in clients:
        await client.close()


async def test_what_was_acknowledged_survives_owners_killed_in_the_middle(folder: Path) -> None:
    clients = [client_at(folder, seconds_per_item=0.002) for _ in range(5)]
    acknowledged: list[str] = []

    async def write(client: OwnerClient, name: int) -> None:
        for number in range(60):
            item = f"{name}-{number}"
            response = await client.request("POST", "/items", body=item.encode())
            assert response.ok
            acknowledged.append(item)

    async def kill() -> None:
        for goal in (50, 150, 250):
            await until(lambda goal=goal: len(acknowledged) >= goal, seconds=60)
            record = read_record(clients[0].store.paths.record)
            if record is not None:
                os.kill(record.pid, signal.SIGKILL)

    await asyncio.gather(*(write(client, name) for name, client in enumerate(clients)), kill())
    assert len(acknowledged) == 300
    assert set(items(folder)) >= set(acknowledged)
    assert 2 <= len(set(starts(folder))) <= 4
    for client in clients:
        await client.close()


async def test_a_request_that_kills_every_owner_ends_with_an_error_that_names_the_log(folder: Path) -> None:
    client = client_at(folder)
    with pytest.raises(StorageUnavailableError, match=r"ended 4 times while it worked on POST /die.*\n.*owner\.log"):
        await client.request("POST", "/die")
    await client.close()


async def test_an_owner_that_fails_to_start_tells_its_client_why(folder: Path) -> None:
    (folder / "wrong-model").touch()
    client = client_at(folder)
    with pytest.raises(ModelChangedError, match="REQUIRED ACTION"):
        await client.connect()
    (folder / "wrong-model").unlink()
    assert (await client.connect()).pid
    await client.close()


async def test_an_older_owner_hands_over_and_both_versions_clients_go_on(folder: Path) -> None:
    old = client_at(folder)
    first = await old.connect()
    assert first.version == __version__
    new = client_at(folder, version="99.1.0")
    second = await new.connect()
    assert second.pid != first.pid
    assert second.version == "99.1.0"
    await gone(first.pid)
    assert (folder / "ended-in-order").exists()
    assert (await old.request("POST", "/items", body=b"x")).json() == {"pid": second.pid}
    await old.close()
    await new.close()


async def test_an_owner_hands_over_to_other_settings_only_when_nobody_else_works_with_it(folder: Path) -> None:
    mine = client_at(folder)
    first = await mine.connect()
    other = client_at(folder, fingerprint="other")
    with pytest.raises(ConfigurationError, match=r"1 other client\(s\) work with it"):
        await other.connect()
    assert (await mine.request("POST", "/items", body=b"x")).json() == {"pid": first.pid}
    await mine.close()
    second = await other.connect()
    assert second.fingerprint == "other"
    await other.close()


async def test_work_in_hand_is_finished_before_a_hand_over(folder: Path) -> None:
    old = client_at(folder, seconds_per_item=0.5)
    first = await old.connect()
    slow = asyncio.create_task(old.request("POST", "/items", body=b"slow"))
    async with asyncio.timeout(20):
        while True:
            if (await old.request("GET", "/internal/owner")).json()["in_work"]:
                break
    new = client_at(folder, version="99.1.0")
    await new.connect()
    assert (await slow).json() == {"pid": first.pid}
    assert items(folder) == ["slow"]
    await old.close()
    await new.close()


async def test_a_background_owner_ends_when_idle_and_nobody_is_connected(folder: Path) -> None:
    client = client_at(folder, idle=0.4)
    owner = await client.connect()
    await asyncio.sleep(1.0)  # longer than idle, but connected
    assert psutil.pid_exists(owner.pid)
    await client.close()
    await gone(owner.pid)
    assert read_record(client.store.paths.record) is None
    assert (await client.connect()).pid != owner.pid
    await client.close()


async def test_work_over_the_local_socket_keeps_an_owner_from_being_idle(folder: Path) -> None:
    state = OwnerState(OwnerKind.BACKGROUND, LeaseFile(folder / "maintenance.json"), storage=NotImplemented)
    during: list[int] = []

    async def app(*_: object) -> None:
        during.append(state.in_work)

    gate = OwnerGate(app, state)
    for path in ("/internal/import", "/internal/export", "/api/search", "/mcp", "/internal/owner", "/livez"):
        await gate({"type": "http", "path": path}, NotImplemented, NotImplemented)
    assert during == [1, 1, 1, 1, 0, 0]


async def test_a_maintenance_lease_keeps_other_clients_out_until_it_ends(folder: Path) -> None:
    client = client_at(folder)
    await client.connect()
    wish = {"holder": "memory migrate", "reason": "copying everything", "seconds": 30}
    lease = (await client.request("POST", "/internal/exclusive", **as_json(wish))).json()
    refused = await client.request("POST", "/items", body=b"x")
    assert refused.status == 503
    assert refused.headers["retry-after"]
    assert "under maintenance: copying everything, by memory migrate" in refused.json()["error"]["message"]
    second = await client.request("POST", "/internal/exclusive", **as_json(wish))
    assert second.status == 409
    renewed = await client.request("POST", "/internal/exclusive", **as_json(wish | {"token": lease["token"]}))
    assert renewed.ok
    ended = await client.request("DELETE", "/internal/exclusive", **as_json({"token": lease["token"]}))
    assert ended.json() == {"released": True}
    assert (await client.request("POST", "/items", body=b"y")).ok
    assert items(folder) == ["y"]
    await client.close()


async def test_a_lease_that_is_not_renewed_ends_by_itself(folder: Path) -> None:
    client = client_at(folder)
    wish = {"holder": "memory migrate", "reason": "copying", "seconds": 0.3}
    lease = (await client.request("POST", "/internal/exclusive", **as_json(wish))).json()
    async with asyncio.timeout(10):
        while (await client.request("POST", "/items", body=b"x")).status == 503:
            pass
    late = await client.request("POST", "/internal/exclusive", **as_json(wish | {"token": lease["token"]}))
    assert late.status == 410
    await client.close()


async def test_a_lease_outlives_the_owner_that_gave_it(folder: Path) -> None:
    client = client_at(folder)
    owner = await client.connect()
    wish = {"holder": "memory migrate", "reason": "copying", "seconds": 30}
    await client.request("POST", "/internal/exclusive", **as_json(wish))
    os.kill(owner.pid, signal.SIGKILL)
    with pytest.raises(StorageBusyError, match="copying, by memory migrate"):
        await client.request("POST", "/items", body=b"x")
    assert starts(folder) == [owner.pid]
    await client.close()


async def test_a_server_with_other_settings_is_named_and_never_ended(folder: Path) -> None:
    """The handshake alone is played here: a real server is in tests/integration."""
    first = client_at(folder)
    owner = await first.connect()
    record = json.loads(first.store.paths.record.read_text())
    await first.close()
    served = record | {"kind": OwnerKind.SERVER, "model": "model-z", "fingerprint": "z"}
    first.store.paths.record.write_text(json.dumps(served))
    second = client_at(folder)
    with pytest.raises(ConfigurationError, match=rf"process {owner.pid}.*model is model-z, yours model-a"):
        await second.connect()
    assert psutil.pid_exists(owner.pid)
    await second.close()


async def test_a_client_waits_for_an_owner_that_is_starting_and_gives_up_in_time(folder: Path) -> None:
    client = client_at(folder)
    with (
        Ownership.acquire(client.store, OwnerKind.SERVER),
        pytest.raises(StorageUnavailableError, match=str(os.getpid())),
    ):
        await client.connect(deadline_seconds=1.5)
    assert (await client.connect()).pid != os.getpid()
    await client.close()


async def test_the_files_of_an_owner_are_its_users_alone(folder: Path) -> None:
    client = client_at(folder)
    await client.connect()
    paths = client.store.paths
    for path in (paths.lock, paths.record, paths.start, paths.log, paths.socket()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert FileLock(paths.lock).try_acquire() is False
    await client.close()


def as_json(value: object) -> dict[str, object]:
    return {"body": json.dumps(value).encode(), "headers": {"Content-Type": "application/json"}}
