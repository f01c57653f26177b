"""Outcomes of the original's tests against this service, and the list of those that fail on purpose.

The list is TOML: groups of tests with the reason that they share. A test is listed or it passes, and not both.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Outcome:
    """What became of a test, `message` telling how it failed. One that is not `reached` asked our service nothing."""

    outcome: str
    reached: bool = True
    message: str = ""


@dataclass(frozen=True)
class Difference:
    """What the list and the run don't agree in, in words, and the tests that it is about."""

    what: str
    tests: tuple[str, ...]


def read_expected(path: Path) -> dict[str, str]:
    """The reason of every listed test. ValueError for one that has none, or that is listed twice."""
    expected: dict[str, str] = {}
    for group in tomllib.loads(path.read_text(encoding="utf-8"))["group"]:
        reason = group.get("reason", "").strip()
        if not reason:
            raise ValueError(f"{path}: a group without a reason: {group.get('tests')}")
        for test in group["tests"]:
            if test in expected:
                raise ValueError(f"{path}: {test} is listed twice")
            expected[test] = reason
    return expected


def applied(outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """The tests that asked our service something. The others tested the original itself, or were skipped by it."""
    return {test: outcome for test, outcome in outcomes.items() if outcome.reached and outcome.outcome != SKIPPED}


def differences(outcomes: Mapping[str, Outcome], expected: Mapping[str, str]) -> Iterator[Difference]:
    """Where a run departs from the list; nothing where both agree."""
    ran = applied(outcomes)
    unlisted = [test for test, outcome in ran.items() if outcome.outcome == FAILED and test not in expected]
    mended = [test for test, outcome in ran.items() if outcome.outcome == PASSED and test in expected]
    gone = [test for test in expected if test not in ran]
    for what, tests in (
        ("failed, and is not listed", unlisted),
        ("passed, though listed as failing", mended),
        ("is listed, and was not run against the service", gone),
    ):
        if tests:
            yield Difference(what, tuple(sorted(tests)))


def summary(outcomes: Mapping[str, Outcome], expected: Mapping[str, str]) -> str:
    """The figures of a run: collected, applied, passed, and the listed failures by reason."""
    ran = applied(outcomes)
    passed = sum(outcome.outcome == PASSED for outcome in ran.values())
    lines = [f"{len(outcomes)} collected, {len(ran)} applied, {passed} passed, {len(ran) - passed} failed"]
    reasons = Counter(expected[test] for test, outcome in ran.items() if outcome.outcome == FAILED and test in expected)
    lines += [f"{count:5}  {reason}" for reason, count in reasons.most_common()]
    return "\n".join(lines)
