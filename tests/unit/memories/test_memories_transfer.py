"""Export, import, cleanup and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import EmbeddedMemory, Memory, ScoredMemory, content_hash
from mcp_memory.domain.query import SearchQuery
from mcp_memory.memories.requests import Conditions, NewMemory
from mcp_memory.storage.base import UpsertMode, UpsertOutcome
from memory_world import World
from reference_storage import ReferenceStorage

pytestmark = pytest.mark.anyio
FOREIGN = "f" * 64


def as_new(memory: Memory) -> NewMemory:
    return NewMemory(
        memory.content,
        list(memory.tags),
        memory.memory_type,
        memory.metadata,
        memory.store,
        memory.created_at,
        memory.updated_at,
        memory.content_hash,
    )


async def test_what_is_exported_and_imported_elsewhere_is_the_same(world: World) -> None:
    await world.keep("one", "two", tags=["untagged", "b"], memory_type="note", metadata={"a": [1, {"b": None}]})
    await world.keep("three", store="work")
    exported = [memory async for memory in world.memories.export()]
    elsewhere = World()
    report = await elsewhere.memories.import_many([as_new(memory) for memory in exported])
    assert (report.imported, report.existed, report.overwritten, report.rejected) == (3, 0, 0, [])
    arrived = [memory async for memory in elsewhere.memories.export()]
    assert [replace(memory, revision=0) for memory in arrived] == [replace(memory, revision=0) for memory in exported]


async def test_foreign_hashes_long_texts_and_nul_are_kept(world: World) -> None:
    text = "x" * 5000 + "\0"
    await world.memories.import_many([NewMemory(text, content_hash=FOREIGN.upper(), created_at=5.5, updated_at=6.5)])
    memory = await world.memories.get(FOREIGN)
    assert (memory.content, memory.created_at, memory.updated_at) == (text, 5.5, 6.5)


@pytest.mark.parametrize("id_", ["assoc_7", "abc", FOREIGN.upper(), "a/b\n", "ключ 7"])
async def test_ids_of_other_stores_come_back_byte_for_byte_and_a_page_may_end_on_one(world: World, id_: str) -> None:
    await world.memories.import_many([NewMemory("one", content_hash=id_), NewMemory("two")])
    exported = [memory async for memory in world.memories.export()]
    elsewhere = World()
    report = await elsewhere.memories.import_many([as_new(memory) for memory in exported])
    assert (report.imported, report.rejected) == (2, [])
    assert (await elsewhere.memories.get(id_)).content_hash == id_
    first, _ = [memory async for memory in elsewhere.memories.export()]
    assert len([memory async for memory in elsewhere.memories.export(after_id=first.id)]) == 1


async def test_an_import_again_changes_nothing_and_embeds_nothing(world: World) -> None:
    items = [NewMemory(f"text {number}", created_at=float(number)) for number in range(300)]
    await world.memories.import_many(items)
    world.embedder.embedded.clear()
    report = await world.memories.import_many([replace(item, tags=["changed"]) for item in items])
    assert (report.imported, report.existed, report.overwritten) == (0, 300, 0)
    assert world.embedder.embedded == []
    assert await world.memories.tags() == {}


async def test_overwriting_takes_the_new_fields_and_embeds_only_new_texts(world: World) -> None:
    await world.memories.import_many([NewMemory("kept", content_hash=FOREIGN), NewMemory("same")])
    before = await world.memories.get(FOREIGN)
    world.embedder.embedded.clear()
    report = await world.memories.import_many(
        [NewMemory("other text", tags=["a"], content_hash=FOREIGN), NewMemory("same", tags=["b"]), NewMemory("new")],
        overwrite=True,
    )
    assert (report.imported, report.existed, report.overwritten) == (1, 0, 2)
    assert sorted(world.embedder.embedded) == ["new", "other text"]
    after = await world.memories.get(FOREIGN)
    assert (after.content, after.tags) == ("other text", ("a",))
    assert after.revision > before.revision
    assert (await world.memories.get(content_hash("same"))).tags == ("b",)


async def test_a_hash_twice_in_an_import_is_one_memory_the_first_or_when_overwriting_the_last(world: World) -> None:
    twice = [NewMemory("same", tags=["first"]), NewMemory("SAME", tags=["last"])]
    report = await world.memories.import_many(twice)
    assert (report.imported, report.existed) == (1, 1)
    assert (await world.memories.get(content_hash("same"))).tags == ("first",)
    report = await world.memories.import_many(twice, overwrite=True)
    assert (report.imported, report.overwritten) == (0, 2)
    assert (await world.memories.get(content_hash("same"))).tags == ("last",)


async def test_items_that_break_a_rule_are_listed_and_the_others_arrive(world: World) -> None:
    bad = [
        NewMemory(" "),
        NewMemory("\ud800"),
        NewMemory("hash", content_hash="x" * 513),
        NewMemory("time", created_at=1.8e12),
        NewMemory("nan", metadata={"a": float("nan")}),
    ]
    report = await world.memories.import_many([NewMemory("good"), *bad, NewMemory("also good")])
    assert [item.index for item in report.rejected] == [1, 2, 3, 4, 5]
    assert "milliseconds" in report.rejected[3].message
    assert await world.contents() == ["also good", "good"]


async def test_an_export_goes_on_behind_the_last_hash_it_gave(world: World) -> None:
    await world.keep(*(f"text {number}" for number in range(20)))
    everything = [memory async for memory in world.memories.export()]
    rest = [memory async for memory in world.memories.export(after_hash=everything[7].content_hash)]
    assert rest == everything[8:]


async def test_an_export_can_be_narrowed_and_carry_vectors(world: World) -> None:
    await world.keep("one", tags=["a"])
    await world.keep("two")
    (item,) = [item async for item in world.memories.export_embedded(Conditions(tags="a"))]
    assert item.memory.content == "one"
    assert item.vector.shape == (384,)


async def test_a_bad_export_is_refused_at_the_call_before_anything_streams(world: World) -> None:
    with pytest.raises(InvalidInputError):
        world.memories.export(Conditions(time_expr="blargh"))
    with pytest.raises(InvalidInputError):
        world.memories.export(after_hash="short")


async def test_cleanup_keeps_the_newest_of_each_text_in_each_store(world: World) -> None:
    def copy(number: int, text: str, created_at: float, store: str = "default") -> NewMemory:
        return NewMemory(text, content_hash=f"{number:064x}", created_at=created_at, store=store)

    await world.memories.import_many(
        [
            copy(1, "Twice", 10.0),
            copy(2, "twice ", 20.0),
            copy(3, "with an original", 30.0),
            NewMemory("with an original", created_at=40.0),
            copy(4, "newer than its original", 60.0),
            NewMemory("newer than its original", created_at=50.0),
            copy(5, "twice", 5.0, store="work"),
            copy(6, "alone", 1.0),
            NewMemory("ordinary", created_at=1.0),
        ]
    )
    trial = await world.memories.cleanup(dry_run=True)
    assert await world.memories.count() == 9
    real = await world.memories.cleanup()
    expected = {f"{1:064x}", f"{3:064x}", content_hash("newer than its original")}
    assert (trial.count, set(trial.hashes), trial.dry_run) == (3, expected, True)
    assert (real.count, set(real.hashes), real.dry_run) == (3, expected, False)
    assert await world.memories.count() == 6
    assert (await world.memories.cleanup()).count == 0


async def test_cleanup_in_shares_finds_the_same_duplicates(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.memories.import_many(
        [
            NewMemory(f"text {number % 20}", content_hash=f"{number:064x}", created_at=float(number))
            for number in range(60)
        ]
    )
    expected = set((await world.memories.cleanup(dry_run=True)).hashes)
    monkeypatch.setattr("mcp_memory.memories.forget.FOREIGN_AT_ONCE", 7)
    assert set((await world.memories.cleanup()).hashes) == expected == {f"{number:064x}" for number in range(40)}


async def test_counts_of_tags_types_and_stores_are_most_frequent_first(world: World) -> None:
    await world.keep("one", "two", tags=["b", "a"], memory_type="note")
    await world.keep("three", tags=["b"], memory_type="decision", store="work")
    await world.keep("four")
    memories = world.memories
    assert list((await memories.tags()).items()) == [("b", 3), ("a", 2)]
    assert await memories.tags("default") == {"a": 2, "b": 2}
    assert list((await memories.types()).items()) == [("note", 2), ("decision", 1)]
    assert await memories.types("work") == {"decision": 1}
    assert list((await memories.stores()).items()) == [("default", 3), ("work", 1)]


async def test_statistics_tell_what_is_stored(world: World) -> None:
    await world.memories.import_many([NewMemory("old", created_at=world.clock.now - 8 * 86_400)])
    await world.keep("one", "two", tags=["a"])
    figures = await world.memories.statistics()
    assert (figures.total_memories, figures.unique_tags, figures.memories_this_week) == (3, 1, 2)
    assert (figures.backend, figures.embedding_model, figures.embedding_dimension) == (
        "reference",
        "hash-projection",
        384,
    )
    assert figures.stores == {"default": 3}


class Forgetful(ReferenceStorage):
    """An index that misses the best neighbour of every query."""

    async def search(self, query: SearchQuery) -> list[ScoredMemory]:
        if query.exact_scan:
            return await super().search(query)
        return (await super().search(replace(query, limit=query.limit + 1)))[1:]


async def test_recall_is_one_for_an_exact_index_and_less_for_one_that_misses(world: World) -> None:
    texts = [f"word{number % 7} word{number % 11} word{number}" for number in range(80)]
    await world.keep(*texts)
    exact = await world.memories.measure_recall(20, k=10, seed=1)
    assert (exact.k, exact.recall) == (10, 1.0)
    assert 10 <= exact.samples <= 20
    world.storage = Forgetful(clock=world.clock)
    await world.keep(*texts)
    assert (await world.memories.measure_recall(20, k=10, seed=1)).recall == pytest.approx(0.9, abs=0.05)


async def test_recall_of_an_empty_store_is_complete(world: World) -> None:
    assert (await world.memories.measure_recall()).samples == 0


@pytest.mark.parametrize("arguments", [{"samples": 0}, {"samples": 100_000}, {"k": 0}, {"k": 1000}])
async def test_recall_samples_are_bounded(world: World, arguments: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError):
        await world.memories.measure_recall(**arguments)


async def test_an_import_that_loses_a_race_counts_the_memory_as_existing(world: World) -> None:
    class Contended(ReferenceStorage):
        async def upsert(
            self, memories: Sequence[EmbeddedMemory], *, mode: UpsertMode = UpsertMode.REPLACE
        ) -> list[UpsertOutcome]:
            await super().upsert(memories[:1])
            return await super().upsert(memories, mode=mode)

    world.storage = Contended(clock=world.clock)
    report = await world.memories.import_many([NewMemory("a"), NewMemory("b")])
    assert (report.imported, report.existed) == (1, 1)
