"""Names of older releases of the original do what they did there, and delete no more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import validate

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import content_hash
from mcp_memory.mcp.tool import ToolAnswer
from mcp_memory.mcp.tools.absent import ABSENT
from mcp_memory.mcp.tools.registry import answered_tools, listed_tools
from mcp_memory.memories.requests import NewMemory
from memory_world import World

pytestmark = pytest.mark.anyio

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04")


@pytest.fixture
async def days() -> World:
    """A memory at noon of each day; the even days' have the tag even, all have the tag day. One stands in another store."""
    world = World()
    for number, day in enumerate(DAYS, 1):
        tags = ["day", "even"] if number % 2 == 0 else ["day"]
        at = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC).timestamp()
        await world.memories.import_many([NewMemory(day, tags=tags, created_at=at, updated_at=at)])
    await world.keep("elsewhere", tags=["day", "even"], store="work")
    return world


async def call(world: World, name: str, **arguments: Any) -> ToolAnswer:
    tool = answered_tools()[name]
    answer = await tool.call(world.memories, arguments)
    validate(answer.structured, tool.output)
    return answer


DELETIONS: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "a tag": ("delete_by_tag", {"tag": "even"}, {"2026-01-02", "2026-01-04"}),
    "a list of one": ("delete_by_tag", {"tags": ["even"]}, {"2026-01-02", "2026-01-04"}),
    "any of several": ("delete_by_tags", {"tags": ["even", "nowhere"]}, {"2026-01-02", "2026-01-04"}),
    "any of several in one text": ("delete_by_tags", {"tags": "even,nowhere"}, {"2026-01-02", "2026-01-04"}),
    "every one in one text": ("delete_by_all_tags", {"tags": "even, day"}, {"2026-01-02", "2026-01-04"}),
    "every one": ("delete_by_all_tags", {"tags": ["day", "even"]}, {"2026-01-02", "2026-01-04"}),
    "every one, one missing": ("delete_by_all_tags", {"tags": ["day", "nowhere"]}, set()),
    "whole days": (
        "delete_by_timeframe", {"start_date": "2026-01-02", "end_date": "2026-01-03"}, {"2026-01-02", "2026-01-03"},
    ),
    "days and a tag": (
        "delete_by_timeframe", {"start_date": "2026-01-01", "end_date": "2026-01-03", "tag": "even"}, {"2026-01-02"},
    ),
    "before a day": ("delete_before_date", {"before_date": "2026-01-02"}, {"2026-01-01"}),
    "before a day, with a tag": ("delete_before_date", {"before_date": "2026-01-04", "tag": "even"}, {"2026-01-02"}),
}  # fmt: skip


@pytest.mark.parametrize("case", DELETIONS)
async def test_an_old_deletion_takes_what_it_named_and_nothing_of_another_store(days: World, case: str) -> None:
    name, arguments, gone = DELETIONS[case]
    planned = await call(days, name, **arguments, dry_run=True)
    assert planned.structured["deleted_count"] == len(gone)
    assert await days.contents() == sorted([*DAYS, "elsewhere"])
    assert (await call(days, name, **arguments)).structured["deleted_count"] == len(gone)
    assert await days.contents() == sorted({*DAYS, "elsewhere"} - gone)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("delete_by_tag", {}),
        ("delete_by_tag", {"tag": ""}),
        ("delete_by_tag", {"tag": "day,even"}),
        ("delete_by_tag", {"tag": "day", "tags": ["even"]}),
        ("delete_by_tags", {"tags": []}),
        ("delete_by_tag", {"tag": "day", "before": "2026-01-02"}),
        ("delete_by_timeframe", {"start_date": "2026-01-01"}),
        ("delete_by_timeframe", {"start_date": "2026-01-04", "end_date": "2026-01-01"}),
        ("delete_by_timeframe", {"start_date": "2026-01-01", "end_date": "2026-01-04", "tag": " "}),
        ("delete_by_timeframe", {"start_date": "2026", "end_date": "2026-01-04"}),
        ("delete_before_date", {"before_date": "soon"}),
        ("delete_before_date", {"before_date": "2026-01-04", "tag": ""}),
    ],
)
async def test_a_deletion_that_is_not_clear_deletes_nothing(days: World, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        await call(days, name, **arguments)
    assert len(await days.contents()) == len(DAYS) + 1


FINDINGS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "days": ("recall_by_timeframe", {"start_date": DAYS[1], "end_date": DAYS[2]}, [DAYS[2], DAYS[1]]),
    "since": ("recall_by_timeframe", {"start_date": DAYS[2]}, [DAYS[3], DAYS[2]]),
    "exactly": ("exact_match_retrieve", {"content": "2026-01-03"}, [DAYS[2]]),
    "for debugging": ("debug_retrieve", {"query": "2026-01-03", "n_results": 1}, [DAYS[2]]),
    "by quality": (
        "retrieve_with_quality_boost", {"query": "2026-01-03", "quality_weight": 0.3, "n_results": 1}, [DAYS[2]],
    ),
    "limit": ("retrieve_memory", {"query": "2026-01-03", "limit": 1}, [DAYS[2]]),
    "AND": ("search_by_tag", {"tags": ["day", "even"], "operation": "AND"}, [DAYS[3], DAYS[1]]),
    "OR": ("search_by_tag", {"tags": ["even", "nowhere"], "operation": "OR"}, [DAYS[3], DAYS[1]]),
}  # fmt: skip


@pytest.mark.parametrize("case", FINDINGS)
async def test_an_old_way_to_search_finds_what_it_found(days: World, case: str) -> None:
    name, arguments, wanted = FINDINGS[case]
    answer = await call(days, name, **arguments)
    assert [memory["content"] for memory in answer.structured["memories"]] == wanted


CAPPED: dict[str, tuple[str, dict[str, Any], str]] = {
    "memory_search": ("memory_search", {"query": "day", "limit": 101}, "limit: 100 at most, 101 asked for"),
    "a guessed name": ("memory_search", {"query": "day", "top_k": "5000"}, "limit: 100 at most, 5,000 asked for"),
    "without a question": ("memory_search", {"tags": "day", "limit": 2**70}, "limit: 100 at most"),
    "nothing found": ("memory_search", {"tags": "nowhere", "limit": 500}, "limit: 100 at most, 500 asked for"),
    "memory_list": ("memory_list", {"page_size": 500}, "page_size: 100 at most, 500 asked for"),
    "limit of a page": ("memory_list", {"limit": 101}, "page_size: 100 at most, 101 asked for"),
    "retrieve_memory": ("retrieve_memory", {"query": "day", "n_results": 1_000}, "n_results: 100 at most, 1,000 asked"),
    "its limit": ("retrieve_memory", {"query": "day", "limit": 1_000}, "limit: 100 at most, 1,000 asked for"),
    "recall_memory": ("recall_memory", {"query": "today", "n_results": 101}, "n_results: 100 at most, 101 asked for"),
    "debug_retrieve": ("debug_retrieve", {"query": "day", "n_results": 101}, "n_results: 100 at most"),
    "recall_by_timeframe": ("recall_by_timeframe", {"start_date": "2026-01-01", "n_results": 101}, "n_results: 100"),
    "list_memories": ("list_memories", {"page_size": 1_000}, "page_size: 100 at most, 1,000 asked for"),
}


@pytest.mark.parametrize("case", CAPPED)
async def test_more_than_is_given_at_once_is_capped_and_said_in_both_answers(days: World, case: str) -> None:
    name, arguments, note = CAPPED[case]
    answer = await call(days, name, **arguments)
    assert note in answer.text
    assert note in answer.structured["message"]
    assert answer.structured.get("page_size", 100) == 100


@pytest.mark.parametrize("case", CAPPED)
async def test_what_is_within_the_bounds_is_not_spoken_of(days: World, case: str) -> None:
    name, arguments, _ = CAPPED[case]
    at_most = {key: 100 if key in ("limit", "top_k", "page_size", "n_results") else arguments[key] for key in arguments}
    assert "at most" not in (await call(days, name, **at_most)).text


async def test_a_page_that_is_capped_holds_as_many_as_it_says(days: World) -> None:
    await days.memories.store_many([NewMemory(f"memory number {number}") for number in range(120)])
    answer = await call(days, "memory_list", page_size=500, max_response_chars=0)
    assert len(answer.structured["memories"]) == 100
    assert answer.structured["has_more"] is True
    rest = await call(days, "memory_list", page_size=500, page=2, max_response_chars=0)
    assert len(answer.structured["memories"]) + len(rest.structured["memories"]) == answer.structured["total"]
    hashes = [memory.content_hash for memory in (await days.memories.page(limit=100)).memories]
    named = await call(days, "memory_list", hashes=[*hashes, *hashes[:5]])
    assert len(named.structured["memories"]) == 100
    assert "hashes: 100 at most, 105 asked for" in named.text


async def test_an_operation_that_is_none_is_refused(days: World) -> None:
    with pytest.raises(InvalidInputError):
        await call(days, "search_by_tag", tags=["day"], operation="XOR")


async def test_metadata_and_duplicates_are_changed_under_their_old_names(days: World) -> None:
    (hash_,) = await days.keep("to change")
    await call(days, "update_memory_metadata", content_hash=hash_, updates={"tags": ["new"]})
    assert (await days.memories.get(hash_)).tags == ("new",)
    assert (await call(days, "cleanup_duplicates")).structured["deleted_count"] == 0
    assert (await call(days, "get_cache_stats")).structured["total_memories"] == len(DAYS) + 2


def test_a_tool_that_is_not_here_is_told_of_in_words_and_none_of_these_is_listed() -> None:
    assert not set(ABSENT) & set(answered_tools())
    for sentence in ABSENT.values():
        assert sentence.endswith(".")
    assert "delete_by_tag" not in listed_tools()


async def test_a_deleted_memory_s_whole_hash_is_told_in_the_original_s_words(days: World) -> None:
    hash_ = content_hash("2026-01-01")
    answer = await call(days, "delete_memory", content_hash=hash_)
    assert answer.text.splitlines()[0] == answer.structured["message"] == f"Memory deleted successfully: {hash_}"


async def test_a_text_with_a_comma_in_tag_is_no_two_tags(days: World) -> None:
    with pytest.raises(InvalidInputError, match="comma"):
        await call(days, "delete_by_tag", tag="even,day")
    assert len(await days.contents()) == 5
