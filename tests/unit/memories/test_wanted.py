"""Long work ends between its slices once its client has gone; what was done so far is whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from embedders import HashEmbedder
from mcp_memory.domain.errors import AbandonedError
from mcp_memory.memories.requests import Changes, Conditions, NewMemory
from mcp_memory.memories.service import Memories
from mcp_memory.memories.wanted import SLICE, SLICE_CHARACTERS, asked_by, slices
from reference_storage import ReferenceStorage

pytestmark = pytest.mark.anyio
NUMBER = 700


@pytest.fixture
def memories() -> Memories:
    return Memories(ReferenceStorage(), HashEmbedder())


def texts(count: int = NUMBER) -> list[NewMemory]:
    return [NewMemory(f"text {number}", tags=["x"]) for number in range(count)]


def gone_after(looks: int) -> Callable[[], Awaitable[bool]]:
    left = looks

    async def gone() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    return gone


async def test_a_bulk_store_ends_with_whole_slices(memories: Memories) -> None:
    with pytest.raises(AbandonedError), asked_by(gone_after(2)):
        await memories.store_many(texts())
    assert await memories.count() == 2 * SLICE
    await memories.store_many(texts())  # sent again: the rest
    assert await memories.count() == NUMBER


@pytest.mark.parametrize("overwrite", [False, True])
async def test_an_import_ends_with_whole_slices(memories: Memories, *, overwrite: bool) -> None:
    with pytest.raises(AbandonedError), asked_by(gone_after(1)):
        await memories.import_many(texts(), overwrite=overwrite)
    assert await memories.count() == SLICE


async def test_a_deletion_ends_between_pages(memories: Memories) -> None:
    await memories.store_many(texts())
    with pytest.raises(AbandonedError), asked_by(gone_after(1)):
        await memories.forget(Conditions(tags="x"))
    assert 0 < await memories.count() < NUMBER


async def test_an_update_of_many_ends_between_memories(memories: Memories) -> None:
    hashes = [str(result.memory and result.memory.content_hash) for result in await memories.store_many(texts(20))]
    with pytest.raises(AbandonedError), asked_by(gone_after(20 + 5)):
        await memories.update_many(hashes, Changes(add_tags=["new"]))
    assert await memories.count(Conditions(tags="new")) == 5


async def test_a_cleanup_ends_between_pages(memories: Memories) -> None:
    await memories.import_many([NewMemory("one text", content_hash=f"{number:064x}") for number in range(NUMBER)])
    with pytest.raises(AbandonedError), asked_by(gone_after(4)):
        await memories.cleanup()
    assert 1 < await memories.count() < NUMBER


async def test_nobody_is_asked_where_nobody_is_known(memories: Memories) -> None:
    assert len(await memories.store_many(texts())) == NUMBER


def test_slices_are_bounded_by_number_and_by_text() -> None:
    assert [len(part) for part in slices(["x"] * 300, len)] == [128, 128, 44]
    assert [len(part) for part in slices(["x" * SLICE_CHARACTERS] * 3, len)] == [1, 1, 1]
    assert [len(part) for part in slices(["x" * 300_000, "y", "z"], len)] == [1, 2]
    assert list(slices([], len)) == []
