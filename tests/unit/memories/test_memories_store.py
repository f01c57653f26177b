"""Storing: once each, in order, nothing by halves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import anyio
import anyio.lowlevel
import numpy as np
import pytest

from mcp_memory.domain.errors import EmbeddingError, InvalidInputError
from mcp_memory.domain.memory import EmbeddedMemory, content_hash
from mcp_memory.memories.context import MemoriesOptions
from mcp_memory.memories.requests import NewMemory, StoreStatus
from mcp_memory.storage.base import UpsertMode, UpsertOutcome
from memory_world import World
from reference_storage import ReferenceStorage

pytestmark = pytest.mark.anyio


async def test_a_stored_memory_is_there_as_it_was_given(world: World) -> None:
    result = await world.memories.store(
        NewMemory(
            " The cat sat. ", tags="Cats, sitting", memory_type=" Note ", metadata={"a": {"b": [1]}}, store="pets"
        )
    )
    assert result.stored
    assert result.memory is not None
    memory = await world.memories.get(content_hash("the cat sat."))
    assert (memory.content, memory.tags, memory.memory_type) == (" The cat sat. ", ("cats", "sitting"), "note")
    assert (memory.metadata, memory.store) == ({"a": {"b": [1]}}, "pets")
    assert memory.created_at == memory.updated_at == pytest.approx(1_800_000_000, abs=5)
    assert memory.content_hash in result.message


async def test_a_duplicate_is_found_before_anything_is_embedded(world: World) -> None:
    await world.keep("The cat sat.", tags=["first"])
    world.embedder.embedded.clear()
    result = await world.memories.store(NewMemory(" the CAT sat. ", tags=["second"]))
    assert result.status is StoreStatus.DUPLICATE
    assert world.embedder.embedded == []
    assert result.memory is not None
    assert (result.memory.content, result.memory.tags) == ("The cat sat.", ("first",))
    assert result.message.startswith("Duplicate content detected (exact match)")
    for part in (content_hash("the cat sat."), "differs from this one in case", "update that memory"):
        assert part in result.message


async def test_a_duplicate_in_another_store_names_that_store(world: World) -> None:
    await world.keep("same", store="work")
    assert "in the store 'work'" in (await world.memories.store(NewMemory("same"))).message


async def test_a_plain_repetition_does_not_claim_a_difference(world: World) -> None:
    await world.keep("same", tags=["a"])
    result = await world.memories.store(NewMemory("same", tags=["a"]))
    assert result.message == f"Duplicate content detected (exact match); stored as {content_hash('same')}."


@pytest.mark.parametrize(
    "bad",
    [
        NewMemory(" "),
        NewMemory("x" * 1001),
        NewMemory("nul\0"),
        NewMemory("\ud800"),
        NewMemory("x", tags=["a,b"]),
        NewMemory("x", metadata={"a": float("nan")}),
        NewMemory("x", metadata={"a": 2**70}),
        NewMemory("x", store="all"),
        NewMemory("x", memory_type="a\nb"),
        NewMemory("x", content_hash="0" * 64),
        NewMemory("x", created_at=1.0),
    ],
)
async def test_bad_input_is_refused_and_changes_nothing(world: World, bad: NewMemory) -> None:
    with pytest.raises(InvalidInputError):
        await world.memories.store(bad)
    with pytest.raises(InvalidInputError, match="Item 1"):
        await world.memories.store_many([NewMemory("good"), bad], skip_invalid=False)
    assert await world.contents() == []
    assert world.embedder.embedded == []


async def test_a_batch_answers_for_each_item_in_order(world: World) -> None:
    await world.keep("old")
    world.embedder.embedded.clear()
    results = await world.memories.store_many(
        [NewMemory("a"), NewMemory("old"), NewMemory(" "), NewMemory("A "), NewMemory("b"), NewMemory("a")]
    )
    assert [result.status.value for result in results] == [
        "stored",
        "duplicate",
        "invalid",
        "duplicate",
        "stored",
        "duplicate",
    ]
    assert [result.memory and result.memory.content for result in results] == ["a", "old", None, "a", "b", "a"]
    assert world.embedder.embedded == ["a", "b"]
    assert await world.contents() == ["a", "b", "old"]


async def test_a_batch_beyond_a_slice_is_stored_wholly(world: World) -> None:
    texts = [f"text number {number}" for number in range(300)]
    results = await world.memories.store_many([NewMemory(text) for text in texts])
    assert [result.memory and result.memory.content for result in results] == texts
    assert await world.memories.count() == 300


async def test_a_batch_of_more_than_a_thousand_is_refused(world: World) -> None:
    with pytest.raises(InvalidInputError, match="at most 1,000"):
        await world.memories.store_many([NewMemory(str(number)) for number in range(1001)])


async def test_an_empty_batch_is_nothing(world: World) -> None:
    assert await world.memories.store_many([]) == []


async def test_of_many_who_store_one_text_at_once_one_stores_it_and_the_others_learn_that(world: World) -> None:
    statuses = []

    class Slow(type(world.embedder)):  # type: ignore[misc]
        async def embed_documents(self, texts: Sequence[str]) -> object:
            await anyio.lowlevel.checkpoint()
            return await super().embed_documents(texts)

    world.embedder = Slow()

    async def one() -> None:
        statuses.append((await world.memories.store(NewMemory("contended"))).status)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(one)
    assert sorted(status.value for status in statuses) == ["duplicate"] * 9 + ["stored"]
    assert await world.contents() == ["contended"]


async def test_a_memory_deleted_between_being_seen_and_being_read_is_stored_after_all(world: World) -> None:
    class Vanishing(ReferenceStorage):
        """Another writer stores the text just before this one, and deletes it just after."""

        calls = 0

        async def upsert(
            self, memories: Sequence[EmbeddedMemory], *, mode: UpsertMode = UpsertMode.REPLACE
        ) -> list[UpsertOutcome]:
            self.calls += 1
            return [UpsertOutcome.EXISTED] if self.calls == 1 else await super().upsert(memories, mode=mode)

    world.storage = Vanishing(clock=world.clock)
    assert (await world.memories.store(NewMemory("text"))).stored
    assert await world.contents() == ["text"]


async def test_a_vector_that_is_not_finite_is_the_models_fault_and_stores_nothing(world: World) -> None:
    class Broken(type(world.embedder)):  # type: ignore[misc]
        async def embed_documents(self, texts: Sequence[str]) -> object:
            return np.full((len(texts), 384), np.nan, np.float32)

    world.embedder = Broken()
    with pytest.raises(EmbeddingError, match="hash-projection"):
        await world.memories.store(NewMemory("text"))
    assert await world.contents() == []


class TestSemanticDuplicates:
    """Texts that share nearly all words are near each other for the test's embedder."""

    base = "one two three four five six seven eight nine ten"
    near = base + " eleven"

    @pytest.fixture(autouse=True)
    def _switch_on(self, world: World) -> None:
        world.options = MemoriesOptions(semantic_dedup_enabled=True, semantic_dedup_threshold=0.9)

    async def test_a_text_that_means_nearly_the_same_is_not_stored(self, world: World) -> None:
        await world.keep(self.base)
        result = await world.memories.store(NewMemory(self.near))
        assert result.status is StoreStatus.SIMILAR
        assert content_hash(self.base) in result.message
        assert await world.contents() == [self.base]

    async def test_a_batch_is_checked_against_itself(self, world: World) -> None:
        results = await world.memories.store_many([NewMemory(self.base), NewMemory(self.near), NewMemory("else")])
        assert [result.status.value for result in results] == ["stored", "similar", "stored"]

    async def test_another_store_or_a_higher_threshold_or_the_switch_lets_it_in(self, world: World) -> None:
        await world.keep(self.base)
        assert (await world.memories.store(NewMemory(self.near, store="work"))).stored
        await world.memories.delete(content_hash(self.near))
        assert (await world.memories.store(NewMemory(self.near), semantic_dedup=False)).stored
        await world.memories.delete(content_hash(self.near))
        world.options = replace(world.options, semantic_dedup_threshold=0.99)
        assert (await world.memories.store(NewMemory(self.near))).stored

    async def test_the_answer_names_the_way_in_that_stores_it_all_the_same(self, world: World) -> None:
        await world.keep(self.base)
        refused = await world.memories.store(NewMemory(self.near))
        assert "conversation_id (REST, MCP), or --conversation" in refused.message
        turn = NewMemory(self.near, metadata={"conversation_id": "c1"})
        assert [result.status.value for result in await world.memories.store_many([turn])] == ["stored"]
