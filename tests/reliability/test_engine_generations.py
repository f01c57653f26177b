"""A new generation takes over while memories are written: nothing is lost, whatever dies at whatever moment."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from mcp_memory.domain.errors import StorageError, StorageUnavailableError
from mcp_memory.domain.memory import MemoryChanges
from mcp_memory.domain.query import EVERYTHING, SearchMode, SearchQuery
from mcp_memory.storage.qdrant_embedded import manifest
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions, Transport
from storage_samples import MODEL, collection, memory, vector

pytestmark = pytest.mark.anyio
COUNT = 3_000


def build(path: Path, **options: object) -> QdrantEmbeddedStorage:
    return QdrantEmbeddedStorage(EmbeddedOptions(path, MODEL, disk_reserve_bytes=0, **options))  # type: ignore[arg-type]


class Writer:
    """Writes, updates and deletes its own memories until it is told to stop, and knows what must be there."""

    def __init__(self, storage: QdrantEmbeddedStorage, seed: int) -> None:
        self._storage = storage
        self._draw = random.Random(seed)
        self._seed = seed
        self.present: dict[str, dict[str, object]] = {}
        self.deleted: set[str] = set()
        self.stopped = asyncio.Event()

    async def run(self) -> None:
        step = 0
        while not self.stopped.is_set():
            step += 1
            with suppress(StorageUnavailableError):
                await self._write(step)

    async def _write(self, step: int) -> None:
        item = memory(f"writer {self._seed} step {step}", metadata={"step": step})
        hash_ = item.memory.content_hash
        await self._storage.upsert([item])
        self.present[hash_] = {"step": step}
        if self._draw.random() < 0.3:
            chosen = self._draw.choice(list(self.present))
            await self._storage.update(chosen, MemoryChanges(metadata={"seen": step}))
            self.present[chosen]["seen"] = step
        if self._draw.random() < 0.2:
            chosen = self._draw.choice(list(self.present))
            del self.present[chosen]  # from here on either is right, until it is acknowledged
            await self._storage.delete([chosen])
            self.deleted.add(chosen)

    async def check(self) -> None:
        found = await self._storage.get([*self.present, *self.deleted])
        assert not self.present.keys() - found.keys()
        assert not self.deleted & found.keys()
        for hash_, known in self.present.items():
            assert dict(found[hash_].metadata) | known == found[hash_].metadata


def processes(path: Path, module: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if module in command and f'"{path}"' in command:
            found.append(process)
    return found


async def recall(storage: QdrantEmbeddedStorage) -> float:
    """The part of the exact ten best that the index finds, over 50 queries: a graph is approximate by nature."""
    found = 0
    for seed in range(50):
        query = SearchQuery(SearchMode.SEMANTIC, "x", vector(seed), limit=10)
        exact = await storage.search(replace(query, exact_scan=True))
        found += len({hit.memory.id for hit in exact} & {hit.memory.id for hit in await storage.search(query)})
    return found / 500


@pytest.mark.parametrize("transport", Transport)
async def test_a_graph_is_built_and_taken_over_under_writes(tmp_path: Path, transport: Transport) -> None:
    path = tmp_path / "store"
    storage = build(path, graph_threshold=COUNT, transport=transport)
    await storage.initialize()
    items = collection(COUNT - 1)
    await storage.upsert(items)
    writers = [Writer(storage, number) for number in range(3)]
    running = [asyncio.create_task(writer.run()) for writer in writers]
    await storage.upsert([memory("the one that reaches the threshold")])
    await storage.optimize()
    for writer in writers:
        writer.stopped.set()
    await asyncio.gather(*running)

    for writer in writers:
        await writer.check()
    assert (await storage.stats()).details["index"] == "hnsw"
    stats = await storage.stats()
    # What the writers stored after the graph was built waits beside it, scanned flat.
    assert COUNT <= stats.indexed_vectors_count <= stats.vectors_count
    assert await recall(storage) >= 0.97

    generation = manifest.read(path).generation
    await storage.close()
    assert [entry.name for entry in (path / "generations").iterdir()] == [str(generation)]
    again = build(path, graph_threshold=COUNT, transport=transport)
    await again.initialize()
    for writer in writers:
        writer._storage = again
        await writer.check()
    await again.close()
    assert processes(path, "qdrant_embedded") == []


async def test_optimize_waits_for_the_switch_and_has_nothing_to_do_afterwards(tmp_path: Path) -> None:
    storage = build(tmp_path / "store", graph_threshold=500)
    await storage.initialize()
    assert not (await storage.optimize()).changed
    await storage.upsert(collection(500))
    report = await storage.optimize()
    assert report.changed
    assert "a graph over 500 memories" in report.message
    assert (await storage.stats()).details["index"] == "hnsw"
    again = await storage.optimize()
    assert not again.changed
    assert "Nothing to do" in again.message
    assert await storage.count(EVERYTHING) == 500
    await storage.close()


async def test_quantization_is_switched_on_and_off_for_data_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "store"
    items = collection(400)
    for quantization, kind in ((False, "turbo4"), (True, "binary"), (False, "turbo4")):
        storage = build(path, quantization=quantization, graph_threshold=0)
        await storage.initialize()
        await storage.upsert(items)
        await storage.optimize()
        stats = await storage.stats()
        assert stats.details["quantization"] == kind
        assert stats.vectors_count == stats.indexed_vectors_count == 400
        hits = await storage.search(SearchQuery(SearchMode.SEMANTIC, "x", items[7].vector, limit=1))
        assert hits[0].memory.id == items[7].memory.id
        await storage.close()


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["engine", "builder"])
@pytest.mark.parametrize("seed", range(8))
async def test_a_kill_at_any_moment_of_the_switch_loses_nothing(tmp_path: Path, victim: str, seed: int) -> None:
    path = tmp_path / "store"
    draw = random.Random(seed)
    storage = build(path, graph_threshold=600)
    await storage.initialize()
    await storage.upsert(collection(600))
    writers = [Writer(storage, number) for number in range(2)]
    running = [asyncio.create_task(writer.run()) for writer in writers]
    building = asyncio.create_task(storage.optimize())
    await asyncio.sleep(draw.uniform(0.0, 3.0))
    if victim == "engine":
        os.kill(int((path / "engine.lock").read_text()), signal.SIGKILL)
    else:
        for process in processes(path, "qdrant_embedded.builder"):
            with suppress(psutil.NoSuchProcess):
                process.kill()
    with suppress(StorageError):
        await building
    for writer in writers:
        writer.stopped.set()
    await asyncio.gather(*running)
    for writer in writers:
        await writer.check()
    assert await storage.count(EVERYTHING) >= 600
    await storage.close()
