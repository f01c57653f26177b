"""What a run of the original's tests is held to: listed with a reason, or passed."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.development.original_outcomes import Outcome, applied, differences, read_expected, summary

PASSED = Outcome("passed")
FAILED = Outcome("failed", message="assert 501 == 200")


def found(outcomes: dict[str, Outcome], expected: dict[str, str]) -> dict[str, tuple[str, ...]]:
    return {difference.what: difference.tests for difference in differences(outcomes, expected)}


def test_a_run_that_fails_exactly_where_it_is_listed_agrees_with_the_list() -> None:
    assert found({"t::a": PASSED, "t::b": FAILED}, {"t::b": "not here"}) == {}


def test_a_failure_that_is_not_listed_is_told() -> None:
    assert found({"t::a": FAILED, "t::b": FAILED}, {"t::b": "not here"}) == {"failed, and is not listed": ("t::a",)}


def test_a_listed_test_that_passes_is_told() -> None:
    assert found({"t::a": PASSED}, {"t::a": "to mend"}) == {"passed, though listed as failing": ("t::a",)}


@pytest.mark.parametrize(
    "outcomes",
    [{}, {"t::a": Outcome("skipped")}, {"t::a": Outcome("failed", reached=False)}],
    ids=["absent", "skipped", "asked the service nothing"],
)
def test_a_listed_test_that_did_not_ask_the_service_is_told(outcomes: dict[str, Outcome]) -> None:
    assert found(outcomes, {"t::a": "not here"}) == {"is listed, and was not run against the service": ("t::a",)}


def test_tests_of_the_original_s_inside_do_not_count() -> None:
    outcomes = {"t::a": PASSED, "t::b": Outcome("failed", reached=False), "t::c": Outcome("skipped")}
    assert applied(outcomes) == {"t::a": PASSED}
    assert found(outcomes, {}) == {}


def test_the_summary_counts_failures_by_reason_most_frequent_first() -> None:
    outcomes = {"t::a": PASSED, "t::b": FAILED, "t::c": FAILED, "t::d": FAILED, "t::e": Outcome("skipped")}
    expected = {"t::b": "to mend", "t::c": "not here", "t::d": "not here"}
    assert summary(outcomes, expected) == (
        "5 collected, 4 applied, 1 passed, 3 failed\n    2  not here\n    1  to mend"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[group]]\nreason = " "\ntests = ["t::a"]\n', "without a reason"),
        ('[[group]]\nreason = "x"\ntests = ["t::a"]\n[[group]]\nreason = "y"\ntests = ["t::a"]\n', "listed twice"),
    ],
)
def test_a_list_without_reasons_or_with_a_test_twice_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "expected.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_expected(path)


def test_the_list_in_the_repository_can_be_read() -> None:
    listed = read_expected(Path(__file__).parents[1] / "original" / "expected.toml")
    assert listed
    assert all(test.startswith("tests/") and "::" in test for test in listed)
