"""What a check of `memory doctor` found, and how it is printed. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `advice` is what to do about it."""

    name: str
    verdict: Verdict
    detail: str
    advice: str | None = None

    def line(self) -> str:
        """Name, detail and advice, for the column behind the verdict."""
        text = self.detail + (f"\n{self.advice}" if self.advice else "")
        return f"{self.name:<10} " + text.replace("\n", "\n" + " " * INDENT)


INDENT = 19
