"""The arithmetic of hybrid ranking."""

from __future__ import annotations

import pytest

from mcp_memory.storage.hybrid import candidates, fuse, near_enough


def test_the_score_is_cosine_plus_weighted_bm25_of_the_best() -> None:
    ranked = fuse({"a": 0.5, "b": 0.4, "c": 0.1}, {"b": 8.0, "c": 4.0})
    assert [(hit.id, pytest.approx(hit.score)) for hit in ranked] == [("b", 1.0), ("a", 0.5), ("c", 0.4)]
    assert [hit.cosine for hit in ranked] == [0.4, 0.5, 0.1]


@pytest.mark.parametrize("bm25", [{}, {"a": 0.0}])
def test_without_a_hit_by_words_meaning_alone_ranks(bm25: dict[str, float]) -> None:
    assert [(hit.id, hit.score) for hit in fuse({"a": 0.1, "b": 0.9}, bm25)] == [("b", 0.9), ("a", 0.1)]


def test_equal_scores_are_ordered_by_id() -> None:
    assert [hit.id for hit in fuse({"b": 0.5, "c": 0.5, "a": 0.5}, {})] == ["a", "b", "c"]


def test_the_number_of_candidates_depends_on_the_limit_only_beyond_it() -> None:
    assert [candidates(limit) for limit in (1, 10, 40, 250)] == [40, 40, 40, 250]


def test_a_hit_without_a_cosine_is_not_judged_by_similarity() -> None:
    assert near_enough(None, 0.9)
    assert near_enough(0.8, 0.9)
    assert not near_enough(0.79, 0.9)
