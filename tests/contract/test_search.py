"""Search: the same hits, in the same order, with the same scores as the plain-Python reference."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import ScoredMemory
from mcp_memory.domain.query import EVERYTHING, MemoryFilter, SearchMode, SearchQuery
from mcp_memory.storage.base import BaseStorage
from reference_storage import ReferenceStorage
from storage_backends import BACKENDS, opened
from storage_questions import FILTERS, ITEMS, reference_of_items
from storage_samples import START, WORDS, memory, vector

pytestmark = pytest.mark.anyio
TOLERANCE = 1e-3
TEXTS = st.lists(st.sampled_from([*WORDS, "the", "who", "unknown", "STORED"]), min_size=1, max_size=4).map(" ".join)
QUERIES = st.builds(
    SearchQuery,
    mode=st.sampled_from([SearchMode.HYBRID, SearchMode.SEMANTIC, SearchMode.KEYWORD]),
    text=TEXTS,
    vector=st.integers(0, 50).map(vector),
    where=FILTERS,
    limit=st.sampled_from([1, 10, 100, 150]),
    min_similarity=st.sampled_from([None, None, 0.5, 0.55, 0.9]),
    exclude=st.sampled_from([None, ITEMS[0].memory.content_hash, ITEMS[7].memory.content_hash]),
    exact_scan=st.booleans(),
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=BACKENDS)
async def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[BaseStorage]:
    async with opened(BACKENDS[request.param], tmp_path_factory.mktemp(request.param)) as storage:
        await storage.upsert(ITEMS)
        yield storage


def assert_same_ranking(found: list[ScoredMemory], reference: ReferenceStorage, query: SearchQuery) -> None:
    """The right scores, best first, and none left out that had to be there; equals may stand in for each other."""
    allowed, asked_for = reference.ranked_with_ties(query, TOLERANCE)
    expected = {hit.memory.id: hit for hit in allowed}
    ids = {hit.memory.id for hit in found}
    assert len(ids) == len(found) <= query.limit
    for hit in found:
        other = expected[hit.memory.id]
        assert hit.score == pytest.approx(other.score, abs=TOLERANCE)
        assert hit.similarity_score == pytest.approx(other.similarity_score, abs=TOLERANCE)
        assert hit.memory.content == other.memory.content
    scores = [hit.score for hit in found]
    assert scores == sorted(scores, reverse=True)
    left_out = [expected[id_].score for id_ in asked_for - ids]
    if left_out:
        assert len(found) == query.limit
        assert max(left_out) <= scores[-1] + 2 * TOLERANCE


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=QUERIES)
async def test_ranking_is_the_reference_ranking(filled: BaseStorage, query: SearchQuery) -> None:
    reference = await reference_of_items()
    if query.min_similarity is not None and any(
        hit.similarity_score is not None and abs(hit.similarity_score - query.min_similarity) < TOLERANCE
        for hit in await reference.search(SearchQuery(query.mode, query.text, query.vector, query.where, 400))
    ):
        return  # on the edge of the bound either answer is right
    assert_same_ranking(await filled.search(query), reference, query)


EXACT_TEXTS = [
    "tored",
    "y vec",
    "ORY",
    "北京",
    "大学 ",
    "afé",
    "STRASSE",
    "straße",
    " ",
    "memory",
    "1",
    "42",
    "no such words",
    ".",
]


@pytest.mark.parametrize("text", EXACT_TEXTS)
@pytest.mark.parametrize("where", [EVERYTHING, MemoryFilter(tags=("a", "b"), store="work")])
@pytest.mark.parametrize("limit", [3, 1_000])
async def test_exact_search_finds_every_substring_newest_first(
    filled: BaseStorage, text: str, where: MemoryFilter, limit: int
) -> None:
    reference = await reference_of_items()
    query = SearchQuery(SearchMode.EXACT, text, where=where, limit=limit)
    found = await filled.search(query)
    assert [hit.memory.id for hit in found] == [hit.memory.id for hit in await reference.search(query)]
    assert all(hit.similarity_score is None for hit in found)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Error: C:\\temp\\x.log (code=0x80070005)", "\\X.LOG (CODE="),
        ("combining cafe\u0301", "CAF\u00c9"),
        ("100% of *these* [chars] matter?", "% OF *THESE* [C"),
        ("東京都に住んでいます", "京都に住"),
        ("first line\nsecond line", "LINE\nSEC"),
        ("the who", "the who"),
        ("İstanbul ﬁnd", "find"),
    ],
)
async def test_exact_search_takes_punctuation_and_every_script_as_they_are(
    storage: BaseStorage, content: str, text: str
) -> None:
    await storage.upsert([memory(content), memory("something else")])
    hits = await storage.search(SearchQuery(SearchMode.EXACT, text))
    assert [hit.memory.content for hit in hits] == [content]


async def test_exact_search_with_a_vector_tells_and_bounds_similarity(filled: BaseStorage) -> None:
    reference = await reference_of_items()
    for bound in (None, 0.52):
        query = SearchQuery(SearchMode.EXACT, "memor", vector(3), limit=1_000, min_similarity=bound)
        expected = {hit.memory.id: hit.similarity_score for hit in await reference.search(query)}
        found = {hit.memory.id: hit.similarity_score for hit in await filled.search(query)}
        assert found == pytest.approx(expected, abs=TOLERANCE)


async def test_without_text_the_newest_are_the_answer(filled: BaseStorage) -> None:
    reference = await reference_of_items()
    for where in (EVERYTHING, MemoryFilter(tags=("a",)), MemoryFilter(created_to=START + 1)):
        query = SearchQuery(where=where, limit=30, exclude=ITEMS[3].memory.content_hash)
        expected = [hit.memory.id for hit in await reference.search(query)]
        assert [hit.memory.id for hit in await filled.search(query)] == expected


async def test_a_hybrid_query_of_stop_words_is_ranked_by_meaning(filled: BaseStorage) -> None:
    hybrid = await filled.search(SearchQuery(SearchMode.HYBRID, "the who", vector(9)))
    semantic = await filled.search(SearchQuery(SearchMode.SEMANTIC, "the who", vector(9)))
    assert [hit.memory.id for hit in hybrid] == [hit.memory.id for hit in semantic]
    assert await filled.search(SearchQuery(SearchMode.KEYWORD, "the who")) == []


async def test_hybrid_finds_by_words_what_meaning_ranks_last(storage: BaseStorage) -> None:
    target = memory("the zyzzyva beetle", seed=1)
    object.__setattr__(target, "vector", -vector(77))
    await storage.upsert([target, *(memory(f"filler {number}") for number in range(300))])
    best = (await storage.search(SearchQuery(SearchMode.HYBRID, "zyzzyva", vector(77), limit=400)))[0:400]
    hit = next(hit for hit in best if hit.memory.content == "the zyzzyva beetle")
    assert hit.score == pytest.approx(-0.4, abs=TOLERANCE)
    assert hit.similarity_score == pytest.approx(0.0, abs=TOLERANCE)


async def test_a_longer_answer_begins_like_a_shorter_one(filled: BaseStorage) -> None:
    answers = [
        await filled.search(SearchQuery(SearchMode.HYBRID, "memory disk", vector(5), limit=limit))
        for limit in (5, 20, 90)
    ]
    ids = [[hit.memory.id for hit in answer] for answer in answers]
    assert ids[2][:5] == ids[1][:5] == ids[0]
    assert ids[2][:20] == ids[1]


@pytest.mark.parametrize("mode", [SearchMode.SEMANTIC, SearchMode.KEYWORD, SearchMode.EXACT])
async def test_a_mode_without_what_it_needs_is_refused(storage: BaseStorage, mode: SearchMode) -> None:
    query = SearchQuery(mode, "text") if mode is SearchMode.SEMANTIC else SearchQuery(mode, None, vector(1))
    with pytest.raises(InvalidInputError):
        await storage.search(query)


async def test_chinese_words_are_found_by_keyword(storage: BaseStorage) -> None:
    await storage.upsert([memory("我在北京大学学习计算机"), memory("something else")])
    hits = await storage.search(SearchQuery(SearchMode.KEYWORD, "北京大学"))
    assert [hit.memory.content for hit in hits] == ["我在北京大学学习计算机"]


@pytest.mark.parametrize(
    ("word", "content"),
    [
        ("東京", "東京都の受付で明日の会議の予定を聞く"),
        ("会議", "東京都の受付で明日の会議の予定を聞く"),
        ("受付", "東京都の受付で明日の会議の予定を聞く"),
        ("회의", "내일 회의에서 발표한다"),
        ("ประชุม", "มีการประชุมทีมวันนี้"),
        ("Krueger", "Herr Krüger ruft an"),
        ("ora-00942", "it ended with ORA-00942"),
    ],
)
async def test_keyword_finds_what_exact_finds_in_every_script(storage: BaseStorage, word: str, content: str) -> None:
    await storage.upsert([memory(content), memory("something else")])
    hits = await storage.search(SearchQuery(SearchMode.KEYWORD, word))
    assert [hit.memory.content for hit in hits] == [content]


async def test_a_deleted_memory_is_no_longer_found(storage: BaseStorage) -> None:
    item = memory("findable words")
    await storage.upsert([item, memory("other words")])
    await storage.delete([item.memory.content_hash])
    for mode in SearchMode:
        hits = await storage.search(SearchQuery(mode, "findable", item.vector))
        assert item.memory.id not in {hit.memory.id for hit in hits}


async def test_a_search_in_an_empty_storage_finds_nothing(storage: BaseStorage) -> None:
    for mode in SearchMode:
        assert await storage.search(SearchQuery(mode, "words", vector(1))) == []
    assert await storage.search(SearchQuery()) == []
