"""The engine dies in every way it can; what was acknowledged stays, what was deleted stays away, and the next call goes on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from mcp_memory.domain.errors import StorageLockedError, StorageUnavailableError
from mcp_memory.domain.memory import MemoryChanges
from mcp_memory.domain.query import EVERYTHING, SearchMode, SearchQuery
from mcp_memory.storage.base import UpsertMode
from mcp_memory.storage.qdrant_embedded import client
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from storage_samples import MODEL, collection, memory

pytestmark = pytest.mark.anyio


def build(path: Path) -> QdrantEmbeddedStorage:
    return QdrantEmbeddedStorage(EmbeddedOptions(path, MODEL, disk_reserve_bytes=0))


def engine_of(path: Path) -> int:
    return int((path / "engine.lock").read_text())


@pytest.fixture
async def storage(tmp_path: Path, anyio_backend: str) -> AsyncIterator[QdrantEmbeddedStorage]:
    storage = build(tmp_path / "store")
    await storage.initialize()
    yield storage
    await storage.close()


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_over_thirty_kills(tmp_path: Path) -> None:
    path = tmp_path / "store"
    storage = build(path)
    await storage.initialize()
    acknowledged: dict[str, dict[str, int]] = {}
    deleted: set[str] = set()
    for seed in range(30):
        draw = random.Random(seed)
        stop = asyncio.Event()

        async def write(number: int, stop: asyncio.Event = stop, seed: int = seed, draw: random.Random = draw) -> None:
            """Its own memories alone, so that it knows what must be there."""
            step = 0
            mine: list[str] = []
            while not stop.is_set():
                step += 1
                item = memory(f"round {seed} writer {number} step {step}", metadata={"step": step})
                hash_ = item.memory.content_hash
                try:
                    await storage.upsert([item], mode=UpsertMode.INSERT)
                    acknowledged[hash_] = {"step": step}
                    mine.append(hash_)
                    if draw.random() < 0.3:
                        chosen = draw.choice(mine)
                        await storage.update(chosen, MemoryChanges(metadata={"seen": step}))
                        acknowledged[chosen] = {**acknowledged[chosen], "seen": step}
                    if draw.random() < 0.2:
                        chosen = mine.pop(draw.randrange(len(mine)))
                        acknowledged.pop(chosen)  # from here on either is right, until it is acknowledged
                        await storage.delete([chosen])
                        deleted.add(chosen)
                except StorageUnavailableError:
                    return

        writers = [asyncio.create_task(write(number)) for number in range(4)]
        await asyncio.sleep(draw.uniform(0.05, 0.4))
        os.kill(engine_of(path), signal.SIGKILL)
        await asyncio.sleep(draw.uniform(0.0, 0.1))
        stop.set()
        await asyncio.gather(*writers)
        found = await storage.get([*acknowledged, *deleted])
        missing = {hash_ for hash_ in acknowledged if hash_ not in found}
        assert not missing, f"seed {seed}"
        assert not deleted & found.keys(), f"seed {seed}"
        assert all(
            dict(found[hash_].metadata) | known == found[hash_].metadata for hash_, known in acknowledged.items()
        )
    assert await storage.count(EVERYTHING) >= len(acknowledged)
    await storage.close()


async def test_searches_go_on_after_a_kill(storage: QdrantEmbeddedStorage, tmp_path: Path) -> None:
    await storage.upsert(collection(200))
    os.kill(engine_of(tmp_path / "store"), signal.SIGSEGV)
    hits = await storage.search(SearchQuery(SearchMode.KEYWORD, "memory", limit=5))
    assert len(hits) == 5


async def test_an_engine_that_dies_each_time_is_named_with_its_signal(
    storage: QdrantEmbeddedStorage, tmp_path: Path
) -> None:
    async def kill_again_and_again() -> None:
        for _ in range(400):
            with suppress(ProcessLookupError, ValueError):
                os.kill(engine_of(tmp_path / "store"), signal.SIGSEGV)
            await asyncio.sleep(0.01)

    killer = asyncio.create_task(kill_again_and_again())

    async def write_on_and_on() -> None:
        while True:
            await storage.upsert([memory("never mind")])

    with pytest.raises(StorageUnavailableError, match="ended by signal SIGSEGV"):
        await write_on_and_on()
    killer.cancel()


async def test_a_stopped_engine_is_reported_within_the_time_allowed(tmp_path: Path) -> None:
    options = EmbeddedOptions(tmp_path / "store", MODEL, disk_reserve_bytes=0, request_timeout=0.5)
    storage = QdrantEmbeddedStorage(options)
    await storage.initialize()
    pid = engine_of(tmp_path / "store")
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StorageUnavailableError, match="did not answer within"):
            await storage.count(EVERYTHING)
    finally:
        os.kill(pid, signal.SIGCONT)
    await storage.close()


async def test_an_engine_that_hangs_is_replaced_and_the_request_answered(
    storage: QdrantEmbeddedStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("SILENT_SECONDS", 0.5), ("LIVES_SECONDS", 0.5), ("WATCH_SECONDS", 0.1)):
        assert getattr(client, name) <= 15  # half a minute in truth, for this test a second
        monkeypatch.setattr(client, name, seconds)
    await storage.upsert(collection(20))
    await storage.close()
    await storage.initialize()
    hung = engine_of(tmp_path / "store")
    os.kill(hung, signal.SIGSTOP)
    assert await storage.count(EVERYTHING) == 20
    assert engine_of(tmp_path / "store") != hung
    await storage.upsert([memory("after it")])
    assert await storage.count(EVERYTHING) == 21


async def test_a_new_client_replaces_an_engine_that_it_finds_hanging(
    storage: QdrantEmbeddedStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.GREETING_SECONDS <= 10
    monkeypatch.setattr(client, "GREETING_SECONDS", 0.5)  # for this test
    await storage.upsert(collection(20))
    hung = engine_of(tmp_path / "store")
    os.kill(hung, signal.SIGSTOP)
    other = build(tmp_path / "store")
    began = time.monotonic()
    await other.initialize()
    assert await other.count(EVERYTHING) == 20
    assert time.monotonic() - began < 10  # 60 s were waited, for nothing
    assert engine_of(tmp_path / "store") != hung
    assert await storage.count(EVERYTHING) == 20
    await other.close()


async def test_a_new_client_ends_no_process_that_is_no_engine(
    storage: QdrantEmbeddedStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the lock file says."""
    monkeypatch.setattr(client, "GREETING_SECONDS", 0.1)
    ended: list[int] = []
    path = tmp_path / "store"
    engine = engine_of(path)
    os.kill(engine, signal.SIGSTOP)
    monkeypatch.setattr(client.os, "kill", lambda pid, _: ended.append(pid))
    (path / "engine.lock").write_text(f"{os.getpid()}\n")
    other = QdrantEmbeddedStorage(EmbeddedOptions(path, MODEL, disk_reserve_bytes=0, start_timeout=0.3))
    with pytest.raises(StorageLockedError, match=f"held by process {os.getpid()}, which doesn't answer"):
        await other.initialize()
    assert not ended
    monkeypatch.undo()
    os.kill(engine, signal.SIGCONT)


async def test_sigterm_finishes_what_was_accepted(storage: QdrantEmbeddedStorage, tmp_path: Path) -> None:
    items = collection(600)
    writing = asyncio.gather(*(storage.upsert(items[start : start + 20]) for start in range(0, 600, 20)))
    await asyncio.sleep(0.01)
    os.kill(engine_of(tmp_path / "store"), signal.SIGTERM)
    await writing
    assert await storage.count(EVERYTHING) == 600


async def test_an_engine_without_clients_ends_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "store"
    storage = build(path)
    await storage.initialize()
    await storage.upsert(collection(10))
    engine = psutil.Process(engine_of(path))
    await storage._client._wire.close()  # type: ignore[union-attr]  # as a killed service would leave it
    await asyncio.to_thread(engine.wait, 10)
    await storage.close()


async def test_a_service_that_returns_at_once_meets_the_running_engine(tmp_path: Path) -> None:
    path = tmp_path / "store"
    first, second = build(path), build(path)
    await first.initialize()
    pid = engine_of(path)
    await first._client._wire.close()  # type: ignore[union-attr]  # as a killed service would leave it
    await second.initialize()
    assert engine_of(path) == pid
    await first.close()
    await second.close()


async def test_many_clients_that_start_at_once_share_one_engine(tmp_path: Path) -> None:
    path = tmp_path / "store"
    clients = [build(path) for _ in range(6)]
    await asyncio.gather(*(client.initialize() for client in clients))
    assert len({client._client._engine_pid for client in clients}) == 1
    await asyncio.gather(*(client.upsert([memory(f"from {number}")]) for number, client in enumerate(clients)))
    assert await clients[0].count(EVERYTHING) == 6
    engine = psutil.Process(engine_of(path))
    await asyncio.gather(*(client.close() for client in clients))
    await asyncio.to_thread(engine.wait, 5)
    assert not (path / "engine.sock").exists()
