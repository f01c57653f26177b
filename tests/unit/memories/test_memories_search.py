"""Searching: the right memories, under the conditions as written."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_memory.domain.errors import InvalidInputError, MemoryNotFoundError
from mcp_memory.domain.memory import content_hash
from mcp_memory.domain.query import MemoryFilter, TagMatch
from mcp_memory.memories.requests import Conditions, NewMemory, SearchRequest
from memory_world import World

pytestmark = pytest.mark.anyio
ANYWHERE = Conditions(store=None)


def texts(answer: object) -> list[str]:
    return [hit.memory.content for hit in answer.hits]  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "keyword", "exact", " Hybrid "])
async def test_every_mode_finds_the_text_that_shares_the_words(world: World, mode: str) -> None:
    await world.keep("the blue whale sings", "stock prices fell today")
    answer = await world.memories.search(SearchRequest("blue whale", mode=mode))
    assert texts(answer)[0] == "the blue whale sings"
    assert answer.mode == mode.strip().lower()
    assert answer.query == "blue whale"
    assert answer.milliseconds >= 0


async def test_meaning_gives_a_similarity_and_words_alone_do_not(world: World) -> None:
    await world.keep("the blue whale sings")
    for mode, has_one in (("hybrid", True), ("semantic", True), ("keyword", False), ("exact", False)):
        (hit,) = (await world.memories.search(SearchRequest("blue whale", mode=mode))).hits
        assert (hit.similarity_score is not None) is has_one


async def test_an_unknown_mode_is_refused_with_the_modes_that_there_are(world: World) -> None:
    with pytest.raises(InvalidInputError, match="hybrid, semantic, keyword, exact"):
        await world.memories.search(SearchRequest("x", mode="fuzzy"))


@pytest.mark.parametrize("query", [None, "", "  "])
async def test_without_a_query_the_newest_under_the_conditions_come_first(world: World, query: str | None) -> None:
    await world.keep("first", "second", "third", tags=["a"])
    assert texts(await world.memories.search(SearchRequest(query, limit=2))) == ["third", "second"]
    assert (await world.memories.search(SearchRequest(query))).mode == "time"
    assert (await world.memories.search(SearchRequest(query, conditions=Conditions(tags="a")))).mode == "tag"
    assert world.embedder.embedded == ["first", "second", "third"]


async def test_a_threshold_is_a_bound_on_the_similarity_shown(world: World) -> None:
    await world.keep("alpha beta", "alpha gamma delta epsilon", "unrelated words here")
    everything = await world.memories.search(SearchRequest("alpha beta", mode="semantic"))
    bound = sorted(hit.similarity_score or 0 for hit in everything.hits)[1]
    answer = await world.memories.search(SearchRequest("alpha beta", mode="semantic", similarity_threshold=bound))
    assert len(answer.hits) == 2
    assert all((hit.similarity_score or 0) >= bound for hit in answer.hits)


@pytest.mark.parametrize(
    "request_",
    [SearchRequest("x", mode="keyword", similarity_threshold=0.5), SearchRequest(None, similarity_threshold=0.5)],
)
async def test_a_threshold_without_meaning_to_compare_is_refused(world: World, request_: SearchRequest) -> None:
    with pytest.raises(InvalidInputError, match="needs a query"):
        await world.memories.search(request_)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (SearchRequest("nul\0"), "query"),
        (SearchRequest("\ud800"), "query"),
        (SearchRequest("x" * 9000), "query"),
        (SearchRequest("x", limit=0), "limit"),
        (SearchRequest("x", limit=-5), "limit"),
        (SearchRequest("x", limit=101), "limit"),
        (SearchRequest("x", similarity_threshold=float("nan")), "similarity_threshold"),
        (SearchRequest("x", conditions=Conditions(tags=["a,b"])), "tags"),
        (SearchRequest("x", conditions=Conditions(tags="a", tag_match="some")), "tag_match"),
        (SearchRequest("x", conditions=Conditions(time_expr="blargh")), "time_expr"),
        (SearchRequest("x", conditions=Conditions(after="soon")), "after"),
        (SearchRequest("x", conditions=Conditions(before=float("inf"))), "before"),
        (SearchRequest("x", conditions=Conditions(after="2024-02-01", before="2024-01-01")), "after"),
        (SearchRequest("x", conditions=Conditions(store="a\nb")), "store"),
    ],
)
async def test_bad_requests_are_refused_by_field(world: World, request_: SearchRequest, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await world.memories.search(request_)
    assert caught.value.field == field


async def test_times_given_in_several_ways_all_hold(world: World) -> None:
    await world.memories.import_many(
        [NewMemory(f"day {day}", created_at=1_799_971_200.0 - 86_400 * day + 3600) for day in range(5)]
    )  # "day 0" is today at 01:00 UTC
    found = await world.memories.search(
        SearchRequest(conditions=Conditions(time_expr="past 3 days", after="2 days ago", before="today"))
    )
    assert texts(found) == ["day 1"]
    assert texts(await world.memories.search(SearchRequest(conditions=Conditions(time_expr="yesterday")))) == ["day 1"]


async def test_a_search_stays_in_its_store_unless_all_are_asked_for(world: World) -> None:
    await world.keep("here")
    await world.keep("there", store="work")
    for store, found in ((None, 2), ("all", 2), ("default", 1), ("work", 1), ("none such", 0)):
        answer = await world.memories.search(SearchRequest(conditions=Conditions(store=store)))
        assert len(answer.hits) == found
    assert texts(await world.memories.search(SearchRequest())) == ["here"]


async def test_similar_compares_with_the_stored_vector_and_leaves_the_memory_itself_out(world: World) -> None:
    hash_, *_ = await world.keep("red green blue", "red green yellow", "unrelated text entirely")
    await world.keep("red green blue cyan", store="work")
    answer = await world.memories.similar(hash_.upper(), limit=2)
    assert texts(answer) == ["red green blue cyan", "red green yellow"]
    assert (answer.mode, answer.query) == ("similar", hash_)
    assert texts(await world.memories.similar(hash_, store="default", similarity_threshold=0.7)) == ["red green yellow"]


async def test_similar_to_an_unknown_hash_is_not_found_and_to_a_malformed_one_bad_input(world: World) -> None:
    with pytest.raises(MemoryNotFoundError):
        await world.memories.similar("0" * 64)
    with pytest.raises(InvalidInputError):
        await world.memories.similar("xyz")


TAGS = ["a", "b", "c"]
new_memories = st.builds(
    NewMemory,
    content=st.uuids().map(str),
    tags=st.lists(st.sampled_from(TAGS), max_size=3),
    memory_type=st.sampled_from([None, "note", "decision"]),
    store=st.sampled_from(["default", "work"]),
    created_at=st.integers(1000, 1010).map(float),
)
conditions = st.builds(
    Conditions,
    tags=st.lists(st.sampled_from(TAGS), max_size=2),
    tag_match=st.sampled_from(["any", "all"]),
    memory_type=st.sampled_from([None, "note", "Decision"]),
    after=st.none() | st.integers(1000, 1005).map(float),
    before=st.none() | st.integers(1006, 1011).map(float),
    store=st.sampled_from([None, "all", "default", "work"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(new=st.lists(new_memories, max_size=12, unique_by=lambda item: item.content), wanted=conditions)
async def test_conditions_select_what_the_plain_python_filter_says(new: list[NewMemory], wanted: Conditions) -> None:
    world = World()
    await world.memories.import_many(new)
    model = MemoryFilter(
        tags=tuple(dict.fromkeys(wanted.tags or ())),
        tag_match=TagMatch(wanted.tag_match),
        memory_type=wanted.memory_type.lower() if wanted.memory_type else None,
        created_from=wanted.after,  # type: ignore[arg-type]
        created_to=wanted.before,  # type: ignore[arg-type]
        store=None if wanted.store == "all" else wanted.store,
    )
    expected = {memory.content async for memory in world.memories.export() if model.matches(memory)}
    assert set(texts(await world.memories.search(SearchRequest(conditions=wanted, limit=100)))) == expected
    assert {memory.content async for memory in world.memories.export(wanted)} == expected
    listing = await world.memories.page(wanted, limit=100)
    assert {memory.content for memory in listing.memories} == expected
    assert listing.total == len(expected) == await world.memories.count(wanted)


async def test_a_search_finds_by_hash_what_store_returned(world: World) -> None:
    result = await world.memories.store(NewMemory("text"))
    (hit,) = (await world.memories.search(SearchRequest("text", conditions=ANYWHERE))).hits
    assert hit.memory == await world.memories.get(content_hash("text"))
    assert result.memory is not None
    assert hit.memory.content_hash == result.memory.content_hash
