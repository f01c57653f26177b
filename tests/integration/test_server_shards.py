"""Three shards on three nodes: everything but word statistics is as on one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcp_memory.domain.query import EVERYTHING, FacetField, MemoryFilter, SearchMode, SearchQuery
from mcp_memory.storage.base import BaseStorage
from qdrant_backends import forget, three_nodes
from storage_questions import ITEMS, reference_of_items
from storage_samples import vector

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
async def sharded(tmp_path: Path, anyio_backend: str) -> AsyncIterator[BaseStorage]:
    storage = three_nodes(tmp_path, shards=3)
    await storage.initialize()
    await storage.upsert(ITEMS)
    yield storage
    await storage.close()
    await forget(storage)


async def test_shards_together_answer_as_one(sharded: BaseStorage) -> None:
    reference = await reference_of_items()
    for where in (EVERYTHING, MemoryFilter(tags=("a", "b")), MemoryFilter(memory_type="note", store="work")):
        assert await sharded.count(where) == await reference.count(where)
        assert await sharded.facet(FacetField.TAGS, where) == await reference.facet(FacetField.TAGS, where)
        page, expected = await sharded.page(where, limit=100), await reference.page(where, limit=100)
        assert [one.id for one in page.memories] == [one.id for one in expected.memories]
        assert page.next == expected.next
        query = SearchQuery(SearchMode.SEMANTIC, None, vector(5), where, limit=50)
        found, wanted = await sharded.search(query), await reference.search(query)
        assert [hit.memory.id for hit in found] == [hit.memory.id for hit in wanted]
    stats = await sharded.stats()
    assert (stats.vectors_count, stats.details["shards"]) == (len(ITEMS), 3)


async def test_words_find_the_same_memories_in_every_shard(sharded: BaseStorage) -> None:
    reference = await reference_of_items()
    query = SearchQuery(SearchMode.KEYWORD, "kernel backup", limit=400)
    found, wanted = await sharded.search(query), await reference.search(query)
    assert {hit.memory.id for hit in found} == {hit.memory.id for hit in wanted}
    hybrid = SearchQuery(SearchMode.HYBRID, "kernel backup", vector(5), limit=20)
    best = {hit.memory.id for hit in await reference.search(hybrid)}
    assert len(best & {hit.memory.id for hit in await sharded.search(hybrid)}) >= 17
