"""Words become terms: English stems, Chinese words, and numbers, which people search for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_memory.storage.analysis import document_terms
from mcp_memory.storage.bm25 import Bm25, has_more_terms


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("404", "The proxy answers with error 404 since Tuesday"),
        ("8080", "Port 8080 is taken by the old service"),
        ("2024", "Planned for the autumn of 2024."),
        ("deployments", "We deploy on Tuesdays; a deployment takes an hour"),
        ("烤鸭", "在北京吃烤鸭"),
        ("東京", "東京都に住んでいます"),
        ("会議", "明日の会議は午後三時からです"),
        ("受付", "名前を受付で書く"),
        ("予定", "来週の予定を確認する"),
        ("田中", "田中さんと話した"),
        ("犬", "白い犬が好き"),
        ("カメラ", "新しいデジタルカメラを買う"),
        ("ｶﾒﾗ", "デジタルカメラ"),
        ("회의", "내일 회의에서 발표한다"),
        ("물", "찬물을 마신다"),
        ("ประชุม", "มีการประชุมทีมวันนี้"),
        ("ปี", "สวัสดีปีใหม่"),
        ("ຕະຫຼາດ", "ໄປຕະຫຼາດເຊົ້າ"),
        ("2024", "計画は2024年です"),
        ("Krueger", "Herr Krüger kommt"),
        ("Krüger", "Herr Krueger kommt"),
        ("STRASSE", "die alte Straße"),
        ("café", "le CAFE\u0301 noir"),
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


@pytest.mark.parametrize(
    ("query", "text", "other"),
    [
        ("ORA-00942", "It failed with ORA-00942.", "ORA said 942 and 00942"),
        ("v1.2.3", "since v1.2.3, at least", "v1 with 2 and 3"),
        ("foo_bar", "calls foo_bar() twice", "foo and bar"),
    ],
)
def test_an_identifier_shares_more_with_the_text_that_has_it_whole(query: str, text: str, other: str) -> None:
    model = Bm25()
    terms = set(model.query(query)[0])
    assert len(terms & set(model.document(text)[0])) > len(terms & set(model.document(other)[0]))


@pytest.mark.parametrize("text", ["Plain words, and no more: 404 times.", "naïve café", "well-known e.g. and/or"])
def test_a_text_of_ordinary_words_has_the_terms_that_it_always_had(text: str) -> None:
    assert not has_more_terms(text)


@given(
    st.text(alphabet="東京都会議のはテ회의에서ab 1", min_size=1, max_size=12),
    st.integers(0, 11),
    st.integers(1, 12),
)
def test_any_part_of_a_run_is_found_in_it(text: str, start: int, length: int) -> None:
    runs = re.findall("[東京都会議のはテ회의에서]+", text)
    if not runs:
        return
    run = max(runs, key=len)
    part = run[start % len(run) :][:length]
    model = Bm25()
    assert set(model.query(part)[0]) & set(model.document(text)[0])


@pytest.mark.parametrize("unit", ["x", "ä", "a-", "-", "1", "_", "a1", "字"])
def test_a_long_text_of_one_character_is_analysed_like_any_other(unit: str) -> None:
    """A pattern that gives characters back would look at a run of them as often as it is long: minutes for this one."""
    terms = document_terms("v1.2.3 " + unit * 400_000)
    assert "v1.2.3" in terms.whole
