"""Reading, updating, deleting, listing: one memory or many, and never more than was asked for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mcp_memory.domain.errors import InvalidInputError, MemoryNotFoundError
from mcp_memory.domain.memory import content_hash
from mcp_memory.domain.query import Cursor
from mcp_memory.memories.listing import parse_cursor
from mcp_memory.memories.requests import Conditions, NewMemory
from memory_world import World

pytestmark = pytest.mark.anyio
UNKNOWN = "0" * 64


async def test_an_update_replaces_tags_and_merges_metadata_and_keeps_the_rest(world: World) -> None:
    (hash_,) = await world.keep("text", tags=["a"], memory_type="note", metadata={"kept": 1, "changed": 1})
    before = await world.memories.get(hash_)
    after = await world.memories.update(hash_.upper(), tags="B, c", metadata={"changed": 2, "new": None})
    assert after == await world.memories.get(hash_)
    assert (after.tags, after.memory_type) == (("b", "c"), "note")
    assert after.metadata == {"kept": 1, "changed": 2, "new": None}
    assert after.created_at == before.created_at
    assert after.updated_at > before.updated_at
    assert after.revision > before.revision


async def test_an_empty_list_takes_all_tags_away(world: World) -> None:
    (hash_,) = await world.keep("text", tags=["a"])
    assert (await world.memories.update(hash_, tags=[])).tags == ()


async def test_preserved_timestamps_stay_for_metadata_alone(world: World) -> None:
    (hash_,) = await world.keep("text")
    before = await world.memories.get(hash_)
    quiet = await world.memories.update(hash_, metadata={"a": 1}, preserve_timestamps=True)
    assert quiet.updated_at == before.updated_at
    assert (await world.memories.update(hash_, tags=["a"], preserve_timestamps=True)).updated_at > before.updated_at


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"metadata": {}},
        {"memory_type": " "},
        {"tags": ["a,b"]},
        {"metadata": {"a": float("inf")}},
        {"metadata": {"b": "x" * 40_000}},
        {"tags": ["good"], "metadata": {"a": 2**64}},
    ],
)
async def test_a_bad_update_changes_nothing(world: World, changes: dict[str, object]) -> None:
    (hash_,) = await world.keep("text", metadata={"large": "x" * 40_000})
    before = await world.memories.get(hash_)
    with pytest.raises(InvalidInputError):
        await world.memories.update(hash_, **changes)  # type: ignore[arg-type]
    assert await world.memories.get(hash_) == before


async def test_imported_metadata_beyond_the_bound_can_be_changed_but_not_grow(world: World) -> None:
    await world.memories.import_many([NewMemory("text", metadata={"large": "x" * 100_000})])
    hash_ = content_hash("text")
    assert len((await world.memories.update(hash_, metadata={"large": "y" * 60_000})).metadata["large"]) == 60_000
    with pytest.raises(InvalidInputError, match="more than the"):
        await world.memories.update(hash_, metadata={"more": "y" * 60_000})


async def test_a_deleted_memory_is_gone_and_deleting_it_again_says_so(world: World) -> None:
    hash_, _ = await world.keep("text", "other")
    await world.memories.delete(hash_)
    assert await world.contents() == ["other"]
    for call in (world.memories.delete(hash_), world.memories.get(hash_), world.memories.update(hash_, tags=["a"])):
        with pytest.raises(MemoryNotFoundError, match=hash_):
            await call


async def test_a_memory_of_another_store_is_not_found_in_this_one(world: World) -> None:
    (hash_,) = await world.keep("text", store="work")
    assert (await world.memories.get(hash_, store="all")).store == (await world.memories.get(hash_, store="work")).store
    for call in (
        world.memories.get(hash_, store="default"),
        world.memories.delete(hash_, store="default"),
        world.memories.update(hash_, tags=["a"], store="default"),
    ):
        with pytest.raises(MemoryNotFoundError):
            await call
    assert await world.contents() == ["text"]


@pytest.mark.parametrize("hash_", ["", "abc", "g" * 64, UNKNOWN + "0", "../" * 20])
async def test_a_malformed_hash_is_bad_input(world: World, hash_: str) -> None:
    for call in (world.memories.get(hash_), world.memories.delete(hash_), world.memories.update(hash_, tags=["a"])):
        with pytest.raises(InvalidInputError) as caught:
            await call
        assert caught.value.field == "content_hash"


async def test_pages_by_cursor_and_by_number_show_everything_once_newest_first(world: World) -> None:
    same_time = [NewMemory(f"text {number}", created_at=1000.0 + number // 4) for number in range(23)]
    await world.memories.import_many(same_time)
    by_cursor, cursor = [], None
    while True:
        listing = await world.memories.page(limit=5, cursor=cursor)
        assert listing.total == 23
        by_cursor += listing.memories
        if listing.next is None:
            break
        cursor = listing.next.encode()
    by_number = [
        memory for number in range(1, 7) for memory in (await world.memories.page(limit=5, page=number)).memories
    ]
    assert by_cursor == by_number
    assert len({memory.content for memory in by_cursor}) == 23
    assert [memory.created_at for memory in by_cursor] == sorted(
        (memory.created_at for memory in by_cursor), reverse=True
    )


@pytest.mark.parametrize(
    "arguments", [{"limit": 0}, {"limit": 101}, {"page": 0}, {"page": -1}, {"page": 10**9}, {"cursor": "x"}]
)
async def test_a_bad_page_is_refused(world: World, arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await world.memories.page(**arguments)  # type: ignore[arg-type]
    assert caught.value.field in arguments


async def test_a_cursor_and_a_page_number_together_are_refused(world: World) -> None:
    with pytest.raises(InvalidInputError, match="not both"):
        await world.memories.page(cursor=Cursor(1.0, "0" * 8 + "-0000-0000-0000-" + "0" * 12).encode(), page=2)


@pytest.mark.parametrize("created_at", [0.0, 1.0, 1_800_000_000.123456, 1e-05, 253_402_300_799.0, 0.1 + 0.2])
def test_a_cursor_reads_what_it_wrote(created_at: float) -> None:
    cursor = Cursor(created_at, "6f1c9a52-8a4e-5d0b-9d0f-3b8a2c7e41d6")
    assert parse_cursor(cursor.encode()) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_",
        "1.0",
        "1.0_",
        "nan_6f1c9a52-8a4e-5d0b-9d0f-3b8a2c7e41d6",
        "inf_6f1c9a52-8a4e-5d0b-9d0f-3b8a2c7e41d6",
        "-1.0_6f1c9a52-8a4e-5d0b-9d0f-3b8a2c7e41d6",
        "1.00_6f1c9a52-8a4e-5d0b-9d0f-3b8a2c7e41d6",
        "1.0_6F1C9A52-8A4E-5D0B-9D0F-3B8A2C7E41D6",
        "1.0_6f1c9a52-8a4e-5d0b-9d0f-3b8a2c7e41d6 ",
        "1.0_not-an-id",
        "9" * 400 + "_6f1c9a52-8a4e-5d0b-9d0f-3b8a2c7e41d6",
    ],
)
def test_a_cursor_that_was_not_given_out_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_cursor(text)
    assert caught.value.field == "cursor"


@pytest.mark.parametrize(
    "conditions",
    [
        None,
        Conditions(),
        Conditions(store=None),
        Conditions(store="work"),
        Conditions(tags=" , "),
        Conditions(tags=[], time_expr=" "),
    ],
)
async def test_forgetting_without_a_condition_is_refused(world: World, conditions: Conditions | None) -> None:
    await world.keep("text", store="work")
    for dry_run in (True, False):
        with pytest.raises(InvalidInputError, match="at least one condition"):
            await world.memories.forget(conditions, dry_run=dry_run)
    assert await world.contents() == ["text"]


async def test_a_dry_run_names_what_the_real_one_deletes(world: World) -> None:
    hashes = await world.keep(*(f"text {number}" for number in range(600)), tags=["old"])
    await world.keep("kept", tags=["new"])
    trial = await world.memories.forget(Conditions(tags="old"), dry_run=True)
    assert (trial.count, set(trial.hashes), trial.dry_run) == (600, set(hashes), True)
    assert await world.memories.count() == 601
    real = await world.memories.forget(Conditions(tags="old"))
    assert (real.count, set(real.hashes), real.dry_run) == (600, set(hashes), False)
    assert await world.contents() == ["kept"]


async def test_an_answer_names_at_most_a_thousand_hashes_and_counts_all(world: World) -> None:
    await world.memories.import_many([NewMemory(str(number), tags=["old"]) for number in range(1200)])
    for dry_run in (True, False):
        answer = await world.memories.forget(Conditions(tags="old"), dry_run=dry_run)
        assert (answer.count, len(answer.hashes)) == (1200, 1000)
    assert await world.memories.count() == 0


async def test_forgetting_by_time_and_store_keeps_what_is_outside(world: World) -> None:
    await world.memories.import_many(
        [
            NewMemory("old", created_at=1000.0),
            NewMemory("old elsewhere", created_at=1000.0, store="work"),
            NewMemory("new", created_at=2000.0),
        ]
    )
    assert (await world.memories.forget(Conditions(before=2000.0))).count == 1
    assert await world.contents() == ["new", "old elsewhere"]


async def test_forgetting_hashes_leaves_out_unknown_ones_and_those_that_miss_the_conditions(world: World) -> None:
    first, second, third = await world.keep("first", "second", "third", tags=["a"])
    await world.memories.update(second, tags=["b"])
    answer = await world.memories.forget(Conditions(tags="a"), hashes=[first, second, UNKNOWN, first.upper()])
    assert answer.hashes == [first]
    trial = await world.memories.forget(hashes=[second, third], dry_run=True)
    assert trial.hashes == [second, third]
    assert await world.contents() == ["second", "third"]
    assert (await world.memories.forget(hashes=[second, third])).count == 2


@pytest.mark.parametrize("hashes", [[], ["short"], [UNKNOWN, "short"], [f"{number:064x}" for number in range(1001)]])
async def test_forgetting_bad_hashes_is_refused_and_deletes_nothing(world: World, hashes: list[str]) -> None:
    await world.keep("text", tags=["a"])
    with pytest.raises(InvalidInputError):
        await world.memories.forget(Conditions(tags="a"), hashes=hashes)
    assert await world.contents() == ["text"]


@pytest.mark.parametrize(
    ("after", "left"),
    [
        ("2026-11-27", ["26", "27"]),
        ("2026-11", ["26", "27", "28"]),
        ("november 26", ["26"]),
        ("2026-11-27T00:00:00Z", ["26"]),
        ("2026-11-27 12:00", ["26", "27"]),
    ],
)
async def test_a_deletion_after_a_day_leaves_the_day_alone(world: World, after: str, left: list[str]) -> None:
    for day in ("26", "27", "28"):
        world.clock.now = datetime(2026, 11, int(day), 10, tzinfo=UTC).timestamp()
        await world.keep(day, tags=["x"])
    world.clock.now += 86_400
    await world.memories.forget(Conditions(tags=["x"], after=after))
    listed = await world.memories.page(Conditions(tags=["x"]))
    assert sorted(memory.content for memory in listed.memories) == left
    found = await world.memories.page(Conditions(after="2026-11-26"))
    assert found.total == len(left), "a listing after a day includes it"
