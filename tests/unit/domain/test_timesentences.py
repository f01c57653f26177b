"""recall_memory finds the time that a question holds, and leaves words alone that only look like one."""

from __future__ import annotations

import pytest

from mcp_memory.domain.timesentences import split_time

NOW = 1_763_800_000.0


@pytest.mark.parametrize(
    ("question", "time_expr", "rest"),
    [
        ("what did we decide last week about Atlas", "last week", "what did we decide about Atlas"),
        ("memories from last week", "last week", "memories"),
        ("yesterday", "yesterday", None),
        ("last week's meeting notes", "last week", "meeting notes"),
        ("anything since Monday?", "since monday", "anything"),
        ("meeting 2 days ago with Bob", "2 days ago", "meeting with Bob"),
        ("show everything from 2024-01-05", "2024-01-05", "show everything"),
        ("decisions from March 5 to March 9 on budgets", "from march 5 to march 9", "decisions on budgets"),
        ("the past 3 days", "the past 3 days", None),
    ],
)
def test_a_time_in_a_question_is_taken_out_of_it(question: str, time_expr: str, rest: str | None) -> None:
    assert split_time(question, NOW) == (time_expr, rest)


@pytest.mark.parametrize(
    "question",
    [
        "what may I do about it",
        "3d printer settings",
        "python 3 release 2024",
        "spring boot and the march of progress",
        "issue 42 fixed",
        "the fall of Rome",
    ],
)
def test_a_question_without_a_time_stays_whole(question: str) -> None:
    time_expr, rest = split_time(question, NOW)
    assert rest == question
    assert time_expr is None


def test_a_long_text_is_not_searched_for_a_time() -> None:
    text = "yesterday " * 5000
    assert split_time(text, NOW) == (None, text)
