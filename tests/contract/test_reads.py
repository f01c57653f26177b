"""Listing, counting, iterating, figures: the same answers as the plain-Python reference."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_memory.domain.query import EVERYTHING, Cursor, FacetField, MemoryFilter
from mcp_memory.storage.base import BaseStorage
from storage_backends import BACKENDS, opened
from storage_questions import FILTERS, ITEMS, TIMES, reference_of_items
from storage_samples import DIMENSIONS, START, memory

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=BACKENDS)
async def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[BaseStorage]:
    path: Path = tmp_path_factory.mktemp(request.param)
    async with opened(BACKENDS[request.param], path) as storage:
        await storage.upsert(ITEMS)
        yield storage


async def pages(storage: BaseStorage, where: MemoryFilter, limit: int) -> list[str]:
    ids: list[str] = []
    cursor: Cursor | None = None
    while True:
        page = await storage.page(where, limit=limit, cursor=cursor)
        ids += [found.id for found in page.memories]
        if page.next is None:
            return ids
        assert len(page.memories) == limit
        cursor = page.next


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=FILTERS, limit=st.sampled_from([1, 7, 50, 1000]))
async def test_filters_mean_the_same_as_in_plain_python(filled: BaseStorage, where: MemoryFilter, limit: int) -> None:
    reference = await reference_of_items()
    expected = [found.id for found in (await reference.page(where, limit=1000)).memories]
    assert await filled.count(where) == len(expected)
    assert [found.id for found in (await filled.page(where, limit=1000)).memories] == expected
    assert await pages(filled, where, limit) == expected if limit > 1 or len(expected) < 60 else True
    assert await filled.tags(where) == await reference.tags(where)
    for facet in FacetField:
        counts = await filled.facet(facet, where)
        assert list(counts.items()) == list((await reference.facet(facet, where)).items())


async def test_every_time_parts_the_memories_as_in_plain_python(filled: BaseStorage) -> None:
    """Also a time of more digits than a quick parser of JSON reads exactly."""
    reference = await reference_of_items()
    for time in TIMES:
        for where in (MemoryFilter(created_from=time), MemoryFilter(created_to=time)):
            assert await filled.count(where) == await reference.count(where), where


@pytest.mark.parametrize("offset", [0, 1, 17, 255, 256, 399, 400, 1_000])
async def test_pages_can_be_counted_off(filled: BaseStorage, offset: int) -> None:
    reference = await reference_of_items()
    expected = await reference.page(EVERYTHING, limit=10, offset=offset)
    found = await filled.page(EVERYTHING, limit=10, offset=offset)
    assert [item.id for item in found.memories] == [item.id for item in expected.memories]
    assert found.next == expected.next


async def test_a_listing_is_complete_where_all_share_one_time(storage: BaseStorage) -> None:
    items = [memory(f"tied {number}") for number in range(530)]
    await storage.upsert(items)
    assert await pages(storage, EVERYTHING, 100) == sorted(item.memory.id for item in items)


async def test_a_cursor_goes_on_behind_a_memory_that_is_gone(storage: BaseStorage) -> None:
    items = [memory(f"listed {number}", created_at=START + number // 3) for number in range(30)]
    await storage.upsert(items)
    everything = await pages(storage, EVERYTHING, 100)
    page = await storage.page(EVERYTHING, limit=10)
    await storage.delete([page.memories[-1].content_hash])
    rest = await storage.page(EVERYTHING, limit=100, cursor=page.next)
    assert [found.id for found in rest.memories] == everything[10:]


@pytest.mark.parametrize("batch_size", [1, 33, 256, 5_000])
async def test_iteration_sees_everything_once_in_order_of_id(filled: BaseStorage, batch_size: int) -> None:
    seen: list[str] = []
    async for batch in filled.iterate(batch_size=batch_size):
        assert 0 < len(batch) <= batch_size
        seen += [item.memory.id for item in batch]
        if batch_size == 1 and len(seen) == 40:
            break
    expected = sorted(item.memory.id for item in ITEMS)
    assert seen == (expected[:40] if batch_size == 1 else expected)


async def test_iteration_resumes_behind_an_id_and_honours_the_filter(filled: BaseStorage) -> None:
    where = MemoryFilter(store="work", tags=("a",))
    expected = sorted(item.memory.id for item in ITEMS if where.matches(item.memory))
    after = expected[len(expected) // 2]
    seen = [item.memory.id async for batch in filled.iterate(where, batch_size=5, after_id=after) for item in batch]
    assert seen == expected[len(expected) // 2 + 1 :]
    absent = "80000000-0000-0000-0000-000000000000"
    seen = [item.memory.id async for batch in filled.iterate(where, after_id=absent) for item in batch]
    assert seen == [id_ for id_ in expected if id_ > absent]


async def test_facets_are_complete_however_many_values_there_are(storage: BaseStorage) -> None:
    await storage.upsert([memory(f"tagged {number}", tags=(f"t{number % 150}", "all")) for number in range(300)])
    counts = await storage.tags(EVERYTHING)
    assert len(counts) == 151
    assert next(iter(counts.items())) == ("all", 300)
    assert set(list(counts.values())[1:]) == {2}


async def test_a_facet_counts_a_store_that_is_the_only_one(storage: BaseStorage) -> None:
    await storage.upsert([memory("one", tags=("a",), memory_type="note")])
    assert await storage.count(MemoryFilter(store="default")) == 1
    assert await storage.count(MemoryFilter(store="other")) == 0
    await storage.upsert([memory("two", store="other", tags=("a",))])
    assert await storage.count(MemoryFilter(store="default")) == 1
    assert await storage.facet(FacetField.STORE, EVERYTHING) == {"default": 1, "other": 1}
    assert await storage.facet(FacetField.MEMORY_TYPE, EVERYTHING) == {"note": 1}


async def test_an_empty_storage_answers_everything(storage: BaseStorage) -> None:
    assert await storage.count(EVERYTHING) == 0
    assert (await storage.page(EVERYTHING, limit=5)).memories == []
    assert await storage.tags(EVERYTHING) == {}
    assert [batch async for batch in storage.iterate()] == []
    assert await storage.delete_matching(MemoryFilter(tags=("a",))) == 0
    stats = await storage.stats()
    assert (stats.vectors_count, stats.indexed_vectors_count) == (0, 0)
    assert (await storage.health()).healthy


async def test_statistics_count_memories(filled: BaseStorage) -> None:
    stats = await filled.stats()
    assert stats.vectors_count == stats.indexed_vectors_count == len(ITEMS)
    health = await filled.health()
    assert (health.healthy, health.collections, health.vector_dimensions) == (True, 1, DIMENSIONS)
