"""kill -9 on a Qdrant server, or on one node of three, or a node that hangs, while memories are stored and deleted: nothing
acknowledged is lost, and what is refused is refused for seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from mcp_memory.config import Settings, WriteOrdering
from mcp_memory.container import breaker_options, server_options
from mcp_memory.domain.errors import StorageError
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.storage.base import BaseStorage, UpsertMode
from mcp_memory.storage.breaker import guarded
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.lifecycle import physical_name
from mcp_memory.storage.qdrant_server.options import ServerOptions
from qdrant_server import NEWS_SECONDS, QdrantServer, binary, cluster, own_server, wait_for_peers, wait_for_replicas
from storage_samples import MODEL, memory

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

REFUSING_SECONDS = {"weak": 15.0, "medium": 30.0}
"""Later than that behind the loss of a node, or its return, no request is made in vain, by write ordering."""
LONG_SECONDS = 2.0
HANGING_SECONDS = 25.0


class Writer:
    """Stores and deletes one memory after another, and keeps account of what was acknowledged."""

    def __init__(self, storage: BaseStorage, seed: int, *, name: str = "memory") -> None:
        self._storage = storage
        self._name = name
        self._draw = random.Random(seed)
        self._number = 0
        self.present: set[str] = set()
        self.absent: set[str] = set()
        self.unsure: set[str] = set()
        self.refused_at: list[float] = []
        """When each request was made that was refused."""
        self.lasting: set[str] = set()
        """Stored, and not to be deleted: that took long, so a node that hangs may have taken it, too, and do it when it goes on
        (docs/decisions/cut-off-nodes.md)."""
        self.stored = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            deletable = self.present - self.lasting
            if deletable and self._draw.random() < 0.2:
                await self._delete(self._draw.choice(sorted(deletable)))
            else:
                await self._store()

    async def _store(self) -> None:
        self._number += 1
        item = memory(f"{self._name} {self._number}")
        hash_ = item.memory.content_hash
        began = time.monotonic()
        try:
            await self._storage.upsert([item], mode=UpsertMode.INSERT)
        except StorageError:
            self.refused_at.append(began)
            self.unsure.add(hash_)
        else:
            self.present.add(hash_)
            if time.monotonic() - began > LONG_SECONDS:
                self.lasting.add(hash_)
            self.stored.set()

    async def _delete(self, hash_: str) -> None:
        self.present.discard(hash_)
        began = time.monotonic()
        try:
            there = await self._storage.delete([hash_])
        except StorageError:
            self.refused_at.append(began)
            self.unsure.add(hash_)
        else:
            assert there, f"{hash_} was acknowledged, and isn't there to be deleted"
            self.absent.add(hash_)

    async def check(self) -> None:
        """As `check_own`, and nobody else has stored anything."""
        assert await self._storage.count(EVERYTHING) == await self.check_own()

    async def check_own(self) -> int:
        """How many are there: every acknowledged memory, whole, none that was deleted, and nothing but what nobody promised."""
        hashes = sorted(self.present | self.absent | self.unsure)
        found = await self._storage.get_embedded(hashes)
        assert not self.present - found.keys()
        back = self.absent & found.keys()
        assert not back, [found[hash_].memory.content for hash_ in back]
        for hash_ in self.present:
            expected = memory(found[hash_].memory.content)
            assert found[hash_].memory.content_hash == hash_ == expected.memory.content_hash
            assert float(found[hash_].vector @ expected.vector) > 0.9999
        return len(found)


async def until_some_more(writer: Writer, count: int) -> None:
    """Until so many more memories were acknowledged: kills fall between writes that really happen."""
    target = len(writer.present) + count
    async with asyncio.timeout(120):
        while len(writer.present) < target:
            writer.stored.clear()
            await writer.stored.wait()


async def test_a_server_killed_in_mid_write_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with own_server(tmp_path / "qdrant") as server:
        storage = QdrantServerStorage(ServerOptions((server.url,), MODEL, retry_seconds=0.5))
        await storage.initialize()
        writer, stop = Writer(storage, seed=1), asyncio.Event()
        task = asyncio.create_task(writer.run(stop))
        for _ in range(8):
            await until_some_more(writer, 30)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await until_some_more(writer, 30)
        stop.set()
        await task
        await writer.check()
        await storage.close()


async def test_a_restart_is_bridged_by_trying_again(tmp_path: Path) -> None:
    with own_server(tmp_path / "qdrant") as server:
        storage = QdrantServerStorage(ServerOptions((server.url,), MODEL, timeout=60.0, retry_seconds=60.0))
        await storage.initialize()
        writer, stop = Writer(storage, seed=2), asyncio.Event()
        task = asyncio.create_task(writer.run(stop))
        for end in (server.stop, server.kill):
            await until_some_more(writer, 20)
            await asyncio.to_thread(end)
            await asyncio.to_thread(server.start)
        await until_some_more(writer, 20)
        stop.set()
        await task
        assert not writer.refused_at
        await writer.check()
        await storage.close()


async def kill_each_node(servers: list[QdrantServer], writer: Writer) -> None:
    """One node after the other killed under load and brought back; the next only when every replica is Active again."""
    collection = physical_name("memories", MODEL)
    for victim in servers:
        await until_some_more(writer, 30)
        await asyncio.to_thread(victim.kill)
        await until_some_more(writer, 30)
        await asyncio.to_thread(victim.start)
        await asyncio.to_thread(wait_for_peers, servers)
        await asyncio.to_thread(wait_for_replicas, servers, collection, steady=NEWS_SECONDS)


async def test_any_node_of_three_may_be_killed_and_reads_and_writes_go_on(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        options = ServerOptions(
            tuple(server.url for server in servers),
            MODEL,
            timeout=20.0,
            shard_number=3,
            replication_factor=2,
            write_consistency_factor=1,
        )
        storage = QdrantServerStorage(options)
        await storage.initialize()
        await asyncio.to_thread(wait_for_replicas, servers, physical_name("memories", MODEL))
        writer, stop = Writer(storage, seed=3), asyncio.Event()
        task = asyncio.create_task(writer.run(stop))
        try:
            await kill_each_node(servers, writer)
        finally:
            stop.set()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await writer.check()
        await storage.close()


async def hang_each_way(servers: list[QdrantServer], writers: list[Writer], limit: float) -> None:
    """The node that is asked, then another one, stops for a while and goes on where it was."""
    collection = physical_name("memories", MODEL)
    for victim in (servers[0], servers[2]):
        await asyncio.gather(*(until_some_more(writer, 5) for writer in writers))
        os.kill(victim.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            await asyncio.sleep(HANGING_SECONDS)
            await until_some_more(writers[0], 5)
        finally:
            os.kill(victim.pid, signal.SIGCONT)
        went_on = time.monotonic()
        await asyncio.to_thread(wait_for_replicas, servers, collection, steady=NEWS_SECONDS)
        refused = [moment for writer in writers for moment in writer.refused_at if moment > stopped]
        late = [
            moment - stopped for moment in refused if stopped + limit < moment < went_on or moment > went_on + limit
        ]
        assert not late, (
            f"refused later than {limit:g} s behind the stop or its end ({went_on - stopped:.0f} s): {late}"
        )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("ordering", [WriteOrdering.WEAK, WriteOrdering.MEDIUM])
async def test_a_node_that_hangs_keeps_nobody_waiting_for_long_and_loses_nothing(
    tmp_path: Path, ordering: WriteOrdering
) -> None:
    if binary() is None:
        pytest.skip("needs the processes of a cluster: set QDRANT_BIN to a qdrant binary >= 1.19")
    with cluster(tmp_path) as servers:
        settings = Settings(
            qdrant_url=",".join(server.url for server in servers),
            qdrant_shard_number=3,
            qdrant_replication_factor=2,
            qdrant_write_consistency_factor=1,
            qdrant_write_ordering=ordering,
        )
        storage = guarded(QdrantServerStorage(server_options(settings, MODEL)), breaker_options(settings))
        await storage.initialize()
        await asyncio.to_thread(wait_for_replicas, servers, physical_name("memories", MODEL))
        writers, stop = [Writer(storage, seed, name=f"writer {seed}") for seed in range(4)], asyncio.Event()
        tasks = [asyncio.create_task(writer.run(stop)) for writer in writers]
        try:
            await hang_each_way(servers, writers, REFUSING_SECONDS[ordering])
        finally:
            stop.set()
            await asyncio.gather(*tasks)
        assert await storage.count(EVERYTHING) == sum([await writer.check_own() for writer in writers])
        await storage.close()
