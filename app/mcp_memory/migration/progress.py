"""What a migration tells while it runs. On a pipe: the user guide's lines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Step(StrEnum):
    """Where a migration stands: told before each of these, and at DONE."""

    READ = "reading"
    EMBED = "embedding"
    STORE = "storing"
    VALIDATE = "validating"
    CHECKPOINT = "recording progress"
    TAKE_OVER = "taking over"
    SETTLE = "catching up"
    CLOSE = "closing"
    DONE = "done"


class Progress(Protocol):
    """Hears what happens; what it raises ends the migration as any other failure would."""

    def line(self, text: str) -> None:
        """A statement of its own."""

    def problem(self, text: str) -> None:
        """A memory that failed, and why. The migration goes on."""

    def step(self, step: Step) -> None:
        """What happens next."""

    def advance(self, done: int, total: int, milliseconds: float) -> None:
        """So many memories are done, at so many milliseconds each on average."""


class PrintedProgress:
    """Lines with a time; one after the first batch, then one every `every` memories."""

    def __init__(
        self,
        verb: str = "Migrated",
        *,
        every: int = 1_000,
        out: Callable[[str], None] = print,
        problems: Callable[[str], None] = print,
    ) -> None:
        self._verb = verb
        self._every = every
        self._out = out
        self._problems = problems
        self._told: int | None = None

    def line(self, text: str) -> None:
        self._out(f"[{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}] {text}")

    def problem(self, text: str) -> None:
        self._problems(text)

    def step(self, step: Step) -> None:
        """Lines tell enough."""

    def advance(self, done: int, total: int, milliseconds: float) -> None:
        if self._told is not None and done // self._every == self._told // self._every:
            return
        self._told = done
        self.line(f"{self._verb} {done}/{total} ({percent(done, total)}) - {duration(milliseconds)} avg")


def percent(done: int, total: int) -> str:
    return f"{100 * done / total:.1f}%" if total else "100.0%"


def whole_percent(done: int, total: int) -> str:
    """Of what is complete: `100%`; with digits only where it isn't."""
    share = 100 * done / total if total else 100.0
    return f"{share:.0f}%" if share == int(share) else f"{share:.2f}%"


def duration(milliseconds: float) -> str:
    """`26ms`; below ten with a digit or two more."""
    if milliseconds >= 10:
        return f"{milliseconds:.0f}ms"
    return f"{milliseconds:.1f}ms" if milliseconds >= 1 else f"{milliseconds:.2f}ms"


def about(seconds: float) -> str:
    """An estimate in words: `2 minutes`."""
    for limit, unit in ((90, 1), (5400, 60), (float("inf"), 3600)):
        if seconds < limit:
            number = max(1, round(seconds / unit))
            name = {1: "second", 60: "minute", 3600: "hour"}[unit]
            return f"{number:,} {name}{'' if number == 1 else 's'}"
    raise AssertionError
