"""What tests measured and on which architecture they ran: carried by pytest's own reports, printed at the end of the run.

Figures travel as `user_properties`, so that workers of xdist need no file in common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

PLATFORM, IMAGES, FIGURE = "platform", "images", "figure"


class Figures(Protocol):
    """`figures("searches, p95", 12.3, "ms")`: a line of the run's summary."""

    def __call__(self, name: str, value: float, unit: str = "") -> None: ...


@dataclass(frozen=True)
class Outcome:
    """One test on one architecture."""

    test: str
    platform: str
    images: str
    outcome: str
    seconds: float
    figures: tuple[str, ...]


def outcomes(reports: Iterable[pytest.TestReport]) -> Iterator[Outcome]:
    """Of tests that know their platform. A test has up to three reports: setup, call, and teardown, which knows most."""
    by_test: dict[str, list[pytest.TestReport]] = {}
    for report in reports:
        by_test.setdefault(report.nodeid, []).append(report)
    for nodeid, phases in by_test.items():
        properties = max((report.user_properties for report in phases), key=len)
        known = dict(properties)
        if known.get(PLATFORM):
            yield Outcome(
                Path(nodeid.partition("::")[0]).name + "::" + nodeid.partition("::")[2],
                str(known[PLATFORM]),
                str(known.get(IMAGES, "")),
                next((one.outcome for one in phases if one.outcome != "passed"), "passed"),
                sum(report.duration for report in phases),
                tuple(str(value) for name, value in properties if name == FIGURE),
            )


def lines(found: Iterable[Outcome]) -> Iterator[str]:
    """Counts by platform and what was run there, then durations and figures by test."""
    by_platform: dict[str, list[Outcome]] = {}
    for outcome in found:
        by_platform.setdefault(outcome.platform, []).append(outcome)
    for platform, ran in sorted(by_platform.items()):
        counts = Counter(outcome.outcome for outcome in ran)
        told = ", ".join(f"{counts[name]} {name}" for name in ("passed", "failed", "skipped"))
        images = sorted({outcome.images for outcome in ran if outcome.images})
        yield f"{platform}: {told} ({'; '.join(images) or 'nothing started'})"
    for _, ran in sorted(by_platform.items()):
        for outcome in ran:
            if outcome.outcome != "skipped":
                yield f"  {outcome.seconds:6.1f} s  {outcome.test}"
                yield from (f"    {figure}" for figure in outcome.figures)
