"""Figures as they are measured, one line each, beside what they are to reach and what they can be compared with."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Table:
    """Prints a line at a time, as Markdown."""

    title: str
    columns: tuple[str, ...] = ("what", "measured", "target", "compared")
    widths: tuple[int, ...] = field(default=(58, 34, 12, 0))

    def __post_init__(self) -> None:
        print(f"\n### {self.title}\n")
        self._print(self.columns)
        self._print(tuple("-" * len(column) for column in self.columns))

    def row(self, what: str, measured: str, target: str = "", compared: str = "") -> None:
        self._print((what, measured, target, compared))

    def _print(self, cells: tuple[str, ...]) -> None:
        print(
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, self.widths, strict=True)) + " |",
            flush=True,
        )
