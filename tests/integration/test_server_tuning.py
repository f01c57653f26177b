"""What a server collection does by itself as it grows, and quantization switched on memories that are there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient
from qdrant_client.models import CollectionInfo, Filter, OptimizersConfigDiff

from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.domain.query import SearchMode, SearchQuery
from mcp_memory.storage.base import Quantizable
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.options import ServerOptions
from mcp_memory.storage.qdrant_server.tuning import hnsw_m, indexing_kilobytes
from mcp_memory.storage.qdrant_server.upkeep import KIND, MEASURED
from qdrant_backends import alias, forget, server_url
from storage_samples import MODEL, memory, vector

pytestmark = pytest.mark.anyio


@pytest.fixture
async def storage(tmp_path: Path, anyio_backend: str) -> AsyncIterator[QdrantServerStorage]:
    storage = QdrantServerStorage(ServerOptions((server_url(),), MODEL, alias=alias(tmp_path), timeout=30.0))
    await storage.initialize()
    yield storage
    await storage.close()
    await forget(storage)


def numbered(start: int, end: int) -> list[EmbeddedMemory]:
    return [memory(f"memory {number}", seed=number) for number in range(start, end)]


async def recall(storage: QdrantServerStorage, queries: int = 30) -> float:
    """Share of the ten nearest that a search finds."""
    hit = 0
    for number in range(queries):
        query = SearchQuery(SearchMode.SEMANTIC, None, vector(10_000_000 + number), limit=10)
        truth = {found.memory.id for found in await storage.search(replace(query, exact_scan=True))}
        hit += len(truth & {found.memory.id for found in await storage.search(query)})
    return hit / (10 * queries)


@pytest.mark.parametrize(
    ("memories", "m"), [(0, 16), (9_999, 16), (10_000, 24), (99_999, 24), (100_000, 32), (1_000_000, 48)]
)
def test_the_graph_grows_with_the_tiers_of_the_guide(memories: int, m: int) -> None:
    assert hnsw_m(memories) == m


def test_indexing_begins_at_twenty_thousand_vectors_over_all_segments() -> None:
    assert indexing_kilobytes(384, shards=1) * 2 * 1024 == 20_000 * 384 * 4


async def test_a_new_collection_needs_no_index_and_says_so(storage: QdrantServerStorage) -> None:
    await storage.upsert(numbered(0, 50))
    stats = await storage.stats()
    assert (stats.vectors_count, stats.indexed_vectors_count, stats.details["index"]) == (50, 50, "flat")
    assert stats.disk_data_size > 0
    assert stats.ram_data_size > 0


async def optimizer_threads(storage: QdrantServerStorage, count: int) -> None:
    """0 makes the server put off what is due."""
    client = AsyncQdrantClient(url=server_url(), check_compatibility=False, timeout=20)
    diff = OptimizersConfigDiff(max_optimization_threads=count)
    await client.update_collection(storage.options.alias, optimizers_config=diff)
    await client.close()


@pytest.mark.slow
async def test_indexing_begins_after_twenty_thousand_memories_and_its_progress_shows(
    storage: QdrantServerStorage,
) -> None:
    await storage.upsert(numbered(0, 19_000))
    await storage.optimize()
    before = await storage.stats()
    assert (before.details["index"], before.indexed_vectors_count) == ("flat", 19_000)

    await optimizer_threads(storage, 0)
    await storage.upsert(numbered(19_000, 22_500))
    during = await storage.stats()
    assert during.indexed_vectors_count < during.vectors_count == 22_500

    await optimizer_threads(storage, 1)
    await storage.optimize()
    after = await storage.stats()
    assert after.details["index"] == "hnsw"
    assert after.details["hnsw_m"] == 24
    assert after.vectors_count == after.indexed_vectors_count == 22_500
    assert await recall(storage) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["binary", "int8", "turbo4"])
async def test_quantization_is_switched_on_and_off_on_live_data(storage: QdrantServerStorage, kind: str) -> None:
    assert isinstance(storage, Quantizable)
    await storage.upsert(numbered(0, 3_000))
    await storage.set_quantization(kind)
    stats = await storage.stats()
    assert stats.details["quantization"] == kind
    assert stats.details["oversampling"] >= 4.0
    assert await recall(storage) >= 0.9

    await storage.set_quantization(None)
    assert (await storage.stats()).details["quantization"] is None
    assert await recall(storage) == 1.0


async def info_when(storage: QdrantServerStorage, reached: Callable[[CollectionInfo], bool]) -> CollectionInfo:
    """What the server says of the collection, once it is as it should become in the background."""
    client = AsyncQdrantClient(url=server_url(), check_compatibility=False, timeout=20)
    try:
        async with asyncio.timeout(120):
            while not reached(info := await client.get_collection(storage.options.alias)):  # noqa: ASYNC110
                await asyncio.sleep(0.1)  # a server tells of its changes when asked
            return info
    finally:
        await client.close()


def measured_at(info: CollectionInfo) -> int:
    """The memories that the collection had when its recall was measured with one bit a dimension."""
    measured = (info.config.metadata or {}).get(MEASURED) or {}
    return int(measured.get("memories", 0)) if measured.get(KIND) == "binary" else 0


@pytest.mark.slow
async def test_a_tier_that_is_outgrown_changes_the_graph_without_being_asked(storage: QdrantServerStorage) -> None:
    await storage.upsert(numbered(0, 1_000))
    assert (await info_when(storage, lambda _: True)).config.hnsw_config.m == 16
    for start in range(1_000, 10_500, 500):
        await storage.upsert(numbered(start, start + 500))
    await storage.upsert(numbered(10_500, 12_000))
    info = await info_when(storage, lambda info: info.config.hnsw_config.m == 24)
    assert info.config.hnsw_config.ef_construct == 100


@pytest.mark.slow
async def test_quantization_follows_the_settings_at_the_next_start_and_oversampling_the_measured_recall(
    storage: QdrantServerStorage,
) -> None:
    await storage.upsert(numbered(0, 3_000))
    quantized = QdrantServerStorage(replace(storage.options, quantization=True))
    await quantized.initialize()
    info = await info_when(storage, lambda info: measured_at(info) == 3_000)
    details = (await quantized.stats()).details
    assert details["quantization"] == "binary"
    assert details["oversampling"] == (info.config.metadata or {})["oversampling"] >= 4.0
    assert await recall(quantized) >= 0.9

    await quantized.upsert(numbered(3_000, 5_000))  # half as many again, and more
    await info_when(storage, lambda info: measured_at(info) == 5_000)
    assert await recall(quantized) >= 0.9
    await quantized.close()

    plain = QdrantServerStorage(storage.options)
    await plain.initialize()
    assert (await plain.stats()).details["quantization"] is None
    assert await recall(plain) == 1.0
    await plain.close()


@pytest.mark.slow
async def test_rescored_scores_are_those_of_the_original_vectors(storage: QdrantServerStorage) -> None:
    await storage.upsert(numbered(0, 200))
    again = QdrantServerStorage(replace(storage.options, quantization=True))
    await again.initialize()
    assert (await again.stats()).details["quantization"] == "binary"
    query = SearchQuery(SearchMode.SEMANTIC, None, vector(3), limit=1)
    exact = replace(query, exact_scan=True)
    assert np.isclose((await again.search(query))[0].score, (await again.search(exact))[0].score)
    await again.close()


async def test_a_collection_with_older_terms_is_brought_up_to_date_and_finds_its_words(
    storage: QdrantServerStorage,
) -> None:
    await storage.upsert([*(memory(f"東京の会議 {number}") for number in range(300)), memory("plain words")])
    client = AsyncQdrantClient(url=server_url(), check_compatibility=False, timeout=20)
    await client.delete_vectors(storage.options.alias, ["bm25"], Filter(), wait=True)
    await client.update_collection(storage.options.alias, metadata={"terms": 1})
    query = SearchQuery(SearchMode.KEYWORD, "会議", limit=400)
    assert await storage.search(query) == []

    report = await storage.optimize()
    assert report.changed
    assert "more words in 300 memories" in report.message
    assert len(await storage.search(query)) == 300
    info = await client.get_collection(storage.options.alias)
    assert (info.config.metadata or {})["terms"] == 2
    assert "more words" not in (await storage.optimize()).message

    # An interrupted sweep goes on behind the last id that it noted.
    half = {"terms": 1, "terms_after": "80000000-0000-0000-0000-000000000000"}
    await client.update_collection(storage.options.alias, metadata=half)
    again = await storage.optimize()
    await client.close()
    words = again.message.split("more words in ")[1].split()[0]
    assert 0 < int(words) < 300
