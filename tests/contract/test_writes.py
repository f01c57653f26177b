"""Storing, updating, deleting."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_memory.domain.errors import DimensionMismatchError, InvalidInputError, MemoryNotFoundError
from mcp_memory.domain.memory import JsonValue, MemoryChanges
from mcp_memory.domain.query import EVERYTHING, MemoryFilter, TagMatch
from mcp_memory.storage.base import BaseStorage, UpsertMode, UpsertOutcome
from storage_samples import START, collection, memory, vector

pytestmark = pytest.mark.anyio
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
STORED, EXISTED = UpsertOutcome.STORED, UpsertOutcome.EXISTED


async def test_a_stored_memory_comes_back_as_it_was(storage: BaseStorage) -> None:
    nested: object = [1]
    for _ in range(29):
        nested = {"k": nested}
    odd = {
        "big": 2**63 - 1,
        "small": -(2**63),
        "float": 0.1,
        "none": None,
        "text": "a\0b \U0001f600 e\u0301",
        "list": [True, {}, []],
        "": "",
        "deep": nested,
    }
    item = memory(
        "Zoë said: “naïve 北京” \U0001f600\nsecond line\t",
        tags=("ünï", "b c"),
        memory_type="note",
        metadata=odd,
        store="work",
    )
    assert await storage.upsert([item]) == [STORED]

    found = (await storage.get_embedded([item.memory.content_hash]))[item.memory.content_hash]
    assert found.memory.revision > 1
    assert (found.memory.content, found.memory.tags, found.memory.memory_type, found.memory.store) == (
        item.memory.content,
        ("ünï", "b c"),
        "note",
        "work",
    )
    assert found.memory.metadata == odd
    assert (found.memory.created_at, found.memory.updated_at) == (START, START)
    assert float(found.vector @ item.vector) > 0.9999


@pytest.mark.parametrize("seconds", [1_750_314_532.242_179_9, 1_733_333_333.123_457, 0.0, -1.5, 4_102_444_799.999_999])
async def test_times_are_kept_to_the_microsecond(storage: BaseStorage, seconds: float) -> None:
    item = memory("precise", created_at=seconds)
    await storage.upsert([item])
    kept = (await storage.get([item.memory.content_hash]))[item.memory.content_hash]
    assert kept.created_at == kept.updated_at == round(seconds, 6)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(metadata=st.lists(st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=4), max_size=50))
async def test_metadata_survives_bit_by_bit(storage: BaseStorage, metadata: list[dict[str, JsonValue]]) -> None:
    items = [memory(f"with metadata {number}", metadata=value) for number, value in enumerate(metadata)]
    await storage.upsert(items)
    found = await storage.get([item.memory.content_hash for item in items])
    assert [found[item.memory.content_hash].metadata for item in items] == metadata


async def test_an_update_keeps_every_bit_of_other_metadata(storage: BaseStorage) -> None:
    item = memory("floats", metadata={"sum": 0.1 + 0.2, "tiny": 5e-324})
    await storage.upsert([item])
    for changes in (MemoryChanges(metadata={"more": 1e300 / 3}), MemoryChanges(tags=("a",))):
        await storage.update(item.memory.content_hash, changes)
    found = (await storage.get([item.memory.content_hash]))[item.memory.content_hash]
    assert found.metadata == {"sum": 0.1 + 0.2, "tiny": 5e-324, "more": 1e300 / 3}


async def test_insert_keeps_what_is_there_and_replace_overwrites_it(storage: BaseStorage) -> None:
    old, new = memory("same text", tags=("old",)), memory("same text", tags=("new",))
    hash_ = old.memory.content_hash
    assert await storage.upsert([old], mode=UpsertMode.INSERT) == [STORED]
    before = (await storage.get([hash_]))[hash_]
    assert await storage.upsert([new], mode=UpsertMode.INSERT) == [EXISTED]
    assert (await storage.get([hash_]))[hash_] == before
    assert await storage.upsert([new], mode=UpsertMode.REPLACE) == [EXISTED]
    after = (await storage.get([hash_]))[hash_]
    assert after.tags == ("new",)
    assert after.revision > before.revision


@pytest.mark.parametrize("mode", UpsertMode)
async def test_of_a_hash_given_twice_the_first_wins(storage: BaseStorage, mode: UpsertMode) -> None:
    first, second = memory("twice", tags=("first",)), memory("twice", tags=("second",))
    other = memory("once")
    assert await storage.upsert([first, other, second], mode=mode) == [STORED, STORED, EXISTED]
    assert (await storage.get([first.memory.content_hash]))[first.memory.content_hash].tags == ("first",)
    assert await storage.count(EVERYTHING) == 2


async def test_a_large_batch_is_stored_whole_and_in_order(storage: BaseStorage) -> None:
    items = collection(1_500)
    assert await storage.upsert(items[:700]) == [STORED] * 700
    assert await storage.upsert(items, mode=UpsertMode.INSERT) == [EXISTED] * 700 + [STORED] * 800
    assert await storage.count(EVERYTHING) == 1_500
    found = await storage.get([item.memory.content_hash for item in items])
    assert {hash_: kept.metadata for hash_, kept in found.items()} == {
        item.memory.content_hash: item.memory.metadata for item in items
    }


async def test_a_text_of_a_megabyte_is_kept_whole(storage: BaseStorage) -> None:
    item = memory("long text of an import " * 50_000)
    await storage.upsert([item, *(memory(f"{number} " + "x" * 900_000) for number in range(8))])
    assert (await storage.get([item.memory.content_hash]))[item.memory.content_hash].content == item.memory.content


async def test_nothing_is_stored_for_an_empty_batch(storage: BaseStorage) -> None:
    assert await storage.upsert([]) == []
    assert await storage.get([]) == {}
    assert await storage.delete([]) == []


async def test_a_vector_of_the_wrong_size_is_refused_and_changes_nothing(storage: BaseStorage) -> None:
    good, wrong = memory("good"), memory("wrong")
    object.__setattr__(wrong, "vector", vector(1, dimensions=7))
    with pytest.raises(DimensionMismatchError, match="Expected 32, got 7"):
        await storage.upsert([good, wrong])
    assert await storage.count(EVERYTHING) == 0


async def test_delete_names_what_was_there(storage: BaseStorage) -> None:
    items = collection(300)
    await storage.upsert(items)
    hashes = [item.memory.content_hash for item in items]
    unknown = "0" * 64
    assert sorted(await storage.delete([*hashes[:100], unknown, hashes[0]])) == sorted(hashes[:100])
    assert await storage.delete(hashes[:100]) == []
    assert set(await storage.get(hashes)) == set(hashes[100:])


async def test_what_was_deleted_can_be_stored_again(storage: BaseStorage) -> None:
    item = memory("comes back")
    await storage.upsert([item])
    await storage.delete([item.memory.content_hash])
    assert await storage.upsert([item], mode=UpsertMode.INSERT) == [STORED]
    assert await storage.count(EVERYTHING) == 1


async def test_delete_matching_deletes_exactly_what_matches(storage: BaseStorage) -> None:
    items = collection(500)
    await storage.upsert(items)
    where = MemoryFilter(tags=("a", "b"), tag_match=TagMatch.ALL, memory_type="note")
    doomed = {item.memory.content_hash for item in items if where.matches(item.memory)}
    assert doomed
    assert await storage.delete_matching(where) == len(doomed)
    left = {found.memory.content_hash async for batch in storage.iterate() for found in batch}
    assert left == {item.memory.content_hash for item in items} - doomed
    assert await storage.delete_matching(where) == 0


@pytest.mark.parametrize("where", [EVERYTHING, MemoryFilter(tag_match=TagMatch.ALL)])
async def test_an_empty_filter_deletes_nothing(storage: BaseStorage, where: MemoryFilter) -> None:
    await storage.upsert([memory("stays")])
    with pytest.raises(InvalidInputError):
        await storage.delete_matching(where)
    assert await storage.count(EVERYTHING) == 1


async def test_update_changes_only_what_it_names(storage: BaseStorage) -> None:
    item = memory("text", tags=("a",), memory_type="note", metadata={"kept": 1, "changed": {"old": 1}})
    await storage.upsert([item])
    hash_ = item.memory.content_hash
    before = (await storage.get([hash_]))[hash_]

    changes = MemoryChanges(metadata={"changed": {"new": 2}, "null": None}, updated_at=START + 5)
    after = await storage.update(hash_, changes)
    assert after.metadata == {"kept": 1, "changed": {"new": 2}, "null": None}
    assert (after.tags, after.memory_type, after.created_at, after.updated_at) == (("a",), "note", START, START + 5)
    assert after.revision > before.revision

    assert (await storage.update(hash_, MemoryChanges(tags=()))).tags == ()
    last = await storage.update(hash_, MemoryChanges(memory_type="fact", tags=("x",)))
    assert (last.memory_type, last.tags, last.updated_at) == ("fact", ("x",), START + 5)
    assert (await storage.get([hash_]))[hash_] == last
    found = (await storage.get_embedded([hash_]))[hash_]
    assert float(found.vector @ item.vector) > 0.9999
    assert await storage.count(MemoryFilter(tags=("x",), memory_type="fact")) == 1
    assert await storage.count(MemoryFilter(tags=("a",))) == 0


async def test_update_of_an_unknown_memory_says_so(storage: BaseStorage) -> None:
    with pytest.raises(MemoryNotFoundError, match="f" * 64):
        await storage.update("f" * 64, MemoryChanges(tags=("a",)))


async def test_concurrent_updates_of_different_keys_all_survive(storage: BaseStorage) -> None:
    item = memory("contended")
    await storage.upsert([item])
    hash_ = item.memory.content_hash
    changes = (MemoryChanges(metadata={f"key{number}": number}) for number in range(50))
    answers = await asyncio.gather(*(storage.update(hash_, change) for change in changes))
    assert (await storage.get([hash_]))[hash_].metadata == {f"key{number}": number for number in range(50)}
    assert len({answer.revision for answer in answers}) == 50


async def test_two_hundred_operations_at_once_all_take_effect(storage: BaseStorage) -> None:
    items = collection(200)
    await storage.upsert(items[:100])
    hashes = [item.memory.content_hash for item in items]
    await asyncio.gather(
        *(storage.upsert([item]) for item in items[100:150]),
        *(storage.delete([hash_]) for hash_ in hashes[:50]),
        *(storage.update(hash_, MemoryChanges(metadata={"updated": True})) for hash_ in hashes[50:100]),
        *(storage.upsert([item], mode=UpsertMode.INSERT) for item in items[150:]),
        *(storage.count(EVERYTHING) for _ in range(20)),
    )
    found = await storage.get(hashes)
    assert set(found) == set(hashes[50:])
    assert all(found[hash_].metadata.get("updated") is True for hash_ in hashes[50:100])


async def test_of_two_inserts_at_once_one_stores(storage: BaseStorage) -> None:
    same = [memory("race", seed=number) for number in range(20)]
    outcomes = await asyncio.gather(*(storage.upsert([item], mode=UpsertMode.INSERT) for item in same))
    assert sorted(outcome for (outcome,) in outcomes) == [EXISTED] * 19 + [STORED]


async def test_revisions_grow_over_the_whole_collection(storage: BaseStorage) -> None:
    items = collection(40)
    for item in items:
        await storage.upsert([item])
    found = await storage.get([item.memory.content_hash for item in items])
    revisions = [found[item.memory.content_hash].revision for item in items]
    assert revisions == sorted(set(revisions))


async def test_vectors_are_not_mixed_up(storage: BaseStorage) -> None:
    items = collection(200)
    await storage.upsert(items)
    found = await storage.get_embedded([item.memory.content_hash for item in items])
    cosines = [float(found[item.memory.content_hash].vector @ item.vector) for item in items]
    assert np.min(cosines) > 0.9999


async def test_a_copy_keeps_its_revision_and_later_writes_go_beyond_it(storage: BaseStorage) -> None:
    stored, later = collection(2)
    ahead = 2**52
    object.__setattr__(stored.memory, "revision", ahead)
    hashes = [stored.memory.content_hash, later.memory.content_hash]

    assert await storage.upsert([stored], mode=UpsertMode.COPY) == [STORED]
    assert await storage.upsert([stored], mode=UpsertMode.COPY) == [EXISTED]
    await storage.upsert([later])

    found = await storage.get(hashes)
    assert found[hashes[0]].revision == ahead
    assert found[hashes[1]].revision > ahead


async def test_versions_are_those_of_every_memory_in_order_of_id(storage: BaseStorage) -> None:
    items = collection(30)
    await storage.upsert(items)
    await storage.update(items[3].memory.content_hash, MemoryChanges(tags=("new",)))

    found = [version async for batch in storage.versions(batch_size=7) for version in batch]

    memories = (await storage.get([item.memory.content_hash for item in items])).values()
    assert found == sorted((memory.id, memory.content_hash, memory.revision) for memory in memories)
