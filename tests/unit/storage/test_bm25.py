"""Words become terms: English stems, Chinese words, and numbers, which people search for."""

from __future__ import annotations

import pytest

from mcp_memory.storage.bm25 import Bm25


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("404", "The proxy answers with error 404 since Tuesday"),
        ("8080", "Port 8080 is taken by the old service"),
        ("2024", "Planned for the autumn of 2024."),
        ("deployments", "We deploy on Tuesdays; a deployment takes an hour"),
        ("烤鸭", "在北京吃烤鸭"),
    ],
)
def test_a_query_shares_a_term_with_the_text_that_has_it(query: str, text: str) -> None:
    model = Bm25()
    assert set(model.query(query)[0]) & set(model.document(text)[0])


def test_numbers_are_other_terms_than_their_neighbours() -> None:
    model = Bm25()
    assert not set(model.query("405")[0]) & set(model.document("error 404")[0])


def test_every_term_has_one_weight() -> None:
    indices, values = Bm25().document("v1.19.0 of 19 and 19, on port 19")
    assert len(set(indices)) == len(indices) == len(values)
    assert all(value > 0 for value in values)


def test_stop_words_alone_have_no_terms() -> None:
    assert Bm25().query("the who") == ([], [])
