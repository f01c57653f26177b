"""What an answer promised is there when the storage is opened again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mcp_memory.domain.memory import MemoryChanges
from mcp_memory.domain.query import EVERYTHING, MemoryFilter
from mcp_memory.storage.base import BaseStorage, UpsertMode
from storage_samples import collection, memory

pytestmark = pytest.mark.anyio


async def test_memories_are_there_after_reopening_and_deleted_ones_are_not(reopen: Callable[[], BaseStorage]) -> None:
    items = collection(300)
    hashes = [item.memory.content_hash for item in items]
    storage = reopen()
    await storage.initialize()
    await storage.upsert(items)
    await storage.delete(hashes[:50])
    await storage.delete_matching(MemoryFilter(tags=("a",), memory_type="note"))
    await storage.update(hashes[-1], MemoryChanges(metadata={"late": [1, {"x": None}]}))
    expected = await storage.get_embedded(hashes)
    await storage.close()

    again = reopen()
    await again.initialize()
    found = await again.get_embedded(hashes)
    assert {hash_: item.memory for hash_, item in found.items()} == {
        hash_: item.memory for hash_, item in expected.items()
    }
    assert all((found[hash_].vector == expected[hash_].vector).all() for hash_ in expected)
    assert await again.count(EVERYTHING) == len(expected)
    await again.close()


async def test_revisions_go_on_growing_after_reopening(reopen: Callable[[], BaseStorage]) -> None:
    ahead = memory("from a machine whose clock is ahead")
    object.__setattr__(ahead.memory, "revision", 2**52)
    storage = reopen()
    await storage.initialize()
    await storage.upsert([ahead])
    await storage.close()
    storage = reopen()
    await storage.initialize()
    await storage.upsert([memory("later")])
    found = await storage.get([memory("later").memory.content_hash])
    assert next(iter(found.values())).revision > 2**52
    await storage.close()


async def test_opening_and_closing_twice_does_no_harm(reopen: Callable[[], BaseStorage]) -> None:
    storage = reopen()
    for _ in range(2):
        await storage.initialize()
        await storage.upsert([memory("kept")], mode=UpsertMode.INSERT)
        await storage.close()
        await storage.close()
    again = reopen()
    await again.initialize()
    assert await again.count(EVERYTHING) == 1
    await again.close()


async def test_two_services_share_one_storage(reopen: Callable[[], BaseStorage]) -> None:
    one, two = reopen(), reopen()
    await one.initialize()
    await two.initialize()
    await one.upsert([memory("from one")])
    await two.upsert([memory("from two")])
    assert await one.count(EVERYTHING) == await two.count(EVERYTHING) == 2
    await one.close()
    assert await two.count(EVERYTHING) == 2
    await two.close()
