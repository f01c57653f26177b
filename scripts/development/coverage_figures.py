#!/usr/bin/env python3
"""Print lines and branches that ran, by package of app/, and fail where too few lines did.

usage: coverage_figures.py REPORT MINIMUM

REPORT is what `coverage json` writes, MINIMUM a percentage of lines. Coverage's own --fail-under judges lines and branches
in one figure.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = "app/mcp_memory"


@dataclass(frozen=True)
class Figures:
    """What there is and what of it ran."""

    lines: int = 0
    lines_run: int = 0
    branches: int = 0
    branches_run: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.lines + other.lines,
            self.lines_run + other.lines_run,
            self.branches + other.branches,
            self.branches_run + other.branches_run,
        )

    @property
    def line_percent(self) -> float:
        return 100 * self.lines_run / self.lines if self.lines else 100.0

    @property
    def branch_percent(self) -> float:
        return 100 * self.branches_run / self.branches if self.branches else 100.0


def by_package(report: Mapping[str, Any]) -> dict[str, Figures]:
    """Figures of each folder right below the package; of modules directly in it under its own name."""
    found: dict[str, Figures] = defaultdict(Figures)
    for name, file in report["files"].items():
        inner = Path(name).relative_to(PACKAGE)
        summary = file["summary"]
        found[f"{inner.parts[0]}/" if len(inner.parts) > 1 else "mcp_memory"] += Figures(
            summary["num_statements"], summary["covered_lines"], summary["num_branches"], summary["covered_branches"]
        )
    return dict(sorted(found.items()))


def table(figures: Mapping[str, Figures]) -> str:
    """As Markdown, the sum last."""
    total = sum(figures.values(), Figures())
    rows = ["| package | lines | run | branches | run |", "|---|---|---|---|---|"]
    for name, one in [*figures.items(), ("**all**", total)]:
        lines, branches = f"{one.line_percent:.1f} %", f"{one.branch_percent:.1f} %"
        rows.append(f"| {name} | {one.lines:,} | {lines} | {one.branches:,} | {branches} |")
    return "\n".join(rows)


def main(report: str, minimum: str) -> None:
    figures = by_package(json.loads(Path(report).read_text(encoding="utf-8")))
    print(table(figures))
    percent = sum(figures.values(), Figures()).line_percent
    if percent < float(minimum):
        sys.exit(
            f"{percent:.1f} % of the lines of app/ ran, {minimum} % must: `coverage report --show-missing` lists the rest."
        )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
