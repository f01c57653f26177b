"""Moving a memory to another store, adding and removing tags, and what a superseded memory leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mcp_memory.domain.memory import SUPERSEDED_BY, MemoryChanges
from mcp_memory.domain.query import EVERYTHING, FacetField, MemoryFilter, SearchMode, SearchQuery
from mcp_memory.storage.base import BaseStorage
from storage_samples import collection, memory

pytestmark = pytest.mark.anyio
CURRENT = MemoryFilter(current_only=True)


async def test_a_moved_memory_is_found_in_its_new_store_and_no_other(storage: BaseStorage) -> None:
    item, other = memory("the kernel of the matter"), memory("stays in the garden")
    await storage.upsert([item, other])
    hash_ = item.memory.content_hash

    moved = await storage.update(hash_, MemoryChanges(store="work"))

    assert (moved.store, moved.content, moved.created_at) == ("work", item.memory.content, item.memory.created_at)
    found = (await storage.get_embedded([hash_]))[hash_]
    assert (found.memory.store, found.memory.revision) == ("work", moved.revision)
    assert float(found.vector @ item.vector) > 0.9999
    for mode in (SearchMode.SEMANTIC, SearchMode.HYBRID, SearchMode.KEYWORD, SearchMode.EXACT):
        for store, expected in (("work", [hash_]), ("default", [])):
            query = SearchQuery(mode, "kernel", item.vector, where=MemoryFilter(store=store))
            hits = [hit.memory.content_hash for hit in await storage.search(query)]
            assert [hit for hit in hits if hit == hash_] == expected, (mode, store)
    assert await storage.facet(FacetField.STORE, EVERYTHING) == {"default": 1, "work": 1}
    assert await storage.count(MemoryFilter(store="work")) == 1


async def test_tags_are_added_and_removed_in_order(storage: BaseStorage) -> None:
    item = memory("tagged", tags=("a", "b", "c"))
    await storage.upsert([item])
    hash_ = item.memory.content_hash
    changed = await storage.update(hash_, MemoryChanges(add_tags=("d", "b"), remove_tags=("a", "unknown")))
    assert changed.tags == ("b", "c", "d")
    changed = await storage.update(hash_, MemoryChanges(tags=("x", "y"), add_tags=("z",), remove_tags=("x",)))
    assert changed.tags == ("y", "z")
    assert await storage.tags(EVERYTHING) == {"y": 1, "z": 1}
    assert (await storage.get([hash_]))[hash_] == changed


async def test_tags_that_are_added_at_once_all_stay(storage: BaseStorage) -> None:
    item = memory("tagged by many")
    await storage.upsert([item])
    hash_ = item.memory.content_hash
    await asyncio.gather(*(storage.update(hash_, MemoryChanges(add_tags=(f"t{n}",))) for n in range(10)))
    assert set((await storage.get([hash_]))[hash_].tags) == {f"t{n}" for n in range(10)}


async def test_a_superseded_memory_stays_by_hash_and_leaves_what_asks_for_current_ones(storage: BaseStorage) -> None:
    old, new, other = memory("engine version 14", seed=1), memory("engine version 16", seed=2), memory("tea")
    await storage.upsert([old, new, other])
    old_hash, new_hash = old.memory.content_hash, new.memory.content_hash
    assert await storage.count(CURRENT) == 3

    changed = await storage.update(old_hash, MemoryChanges(metadata={SUPERSEDED_BY: new_hash}))

    assert changed.superseded_by == new_hash
    assert (await storage.get([old_hash]))[old_hash].content == "engine version 14"
    for mode in SearchMode:
        for where, there in ((CURRENT, False), (EVERYTHING, True)):
            hits = await storage.search(SearchQuery(mode, "engine", old.vector, where=where))
            assert (old_hash in {hit.memory.content_hash for hit in hits}) is there, (mode, where)
    assert {memory.content_hash for memory in (await storage.page(CURRENT, limit=10)).memories} == {
        new_hash,
        other.memory.content_hash,
    }
    assert (await storage.count(CURRENT), await storage.count(EVERYTHING)) == (2, 3)
    assert await storage.facet(FacetField.STORE, CURRENT) == {"default": 2}
    assert [item.memory.content_hash async for batch in storage.iterate(CURRENT) for item in batch].count(old_hash) == 0
    assert await storage.count(MemoryFilter(superseded_by=new_hash)) == 1
    assert await storage.count(MemoryFilter(superseded_by=old_hash)) == 0

    await storage.update(old_hash, MemoryChanges(metadata={SUPERSEDED_BY: None}))
    assert await storage.count(CURRENT) == 3
    assert await storage.count(MemoryFilter(superseded_by=new_hash)) == 0


async def test_a_memory_that_arrives_superseded_is_not_current(storage: BaseStorage) -> None:
    await storage.upsert(
        [memory("imported", metadata={SUPERSEDED_BY: "0" * 64}), memory("blank", metadata={SUPERSEDED_BY: ""})]
    )
    assert [found.content for found in (await storage.page(CURRENT, limit=10)).memories] == ["blank"]
    await storage.delete([memory("imported").memory.content_hash])
    assert await storage.count(CURRENT) == await storage.count(EVERYTHING) == 1


async def test_filters_on_current_ones_hold_together_with_others(storage: BaseStorage) -> None:
    items = collection(200)
    await storage.upsert(items)
    for item in items[::5]:
        await storage.update(item.memory.content_hash, MemoryChanges(metadata={SUPERSEDED_BY: "1" * 64}))
    everything = [item.memory for item in items]
    superseded = {item.memory.content_hash for item in items[::5]}
    for where in (
        MemoryFilter(tags=("a",), current_only=True),
        MemoryFilter(store="work", current_only=True),
        MemoryFilter(memory_type="note", store="default", current_only=True),
    ):
        plain = [
            found
            for found in everything
            if MemoryFilter(where.tags, store=where.store, memory_type=where.memory_type).matches(found)
        ]
        expected = {found.content_hash for found in plain} - superseded
        assert await storage.count(where) == len(expected)
        found = {hit.content_hash for batch in [await storage.page(where, limit=300)] for hit in batch.memories}
        assert found == expected


async def test_what_was_superseded_or_moved_is_so_after_reopening(reopen: Callable[[], BaseStorage]) -> None:
    old, moved = memory("old"), memory("moved")
    storage = reopen()
    await storage.initialize()
    await storage.upsert([old, moved])
    await storage.update(old.memory.content_hash, MemoryChanges(metadata={SUPERSEDED_BY: moved.memory.content_hash}))
    await storage.update(moved.memory.content_hash, MemoryChanges(store="work"))
    await storage.close()
    again = reopen()
    await again.initialize()
    (kept,) = (await again.page(CURRENT, limit=10)).memories
    assert (kept.content, kept.store) == ("moved", "work")
    assert await again.count(MemoryFilter(superseded_by=moved.memory.content_hash)) == 1
    await again.close()
