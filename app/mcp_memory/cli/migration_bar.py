"""A migration's progress: the guide's lines on stdout, and on a terminal a bar with rate and remaining time besides."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcp_memory.migration.progress import PrintedProgress, Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


@contextmanager
def terminal_progress(verb: str, *, every: int = 1_000) -> Iterator[Progress]:
    """Problems go to stderr, so that a pipe gets the lines alone."""
    if not sys.stdout.isatty():
        yield PrintedProgress(verb, every=every, out=_print_now, problems=lambda text: print(text, file=sys.stderr))
        return
    from rich import progress  # noqa: PLC0415  (on a terminal only: it takes a while to load)

    from mcp_memory.cli.output import console  # noqa: PLC0415

    out = console()
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=out, transient=True) as bar:
        yield _BarProgress(verb, every, out, bar, bar.add_task(verb, total=None, rate=""))


class _BarProgress(PrintedProgress):
    def __init__(self, verb: str, every: int, out: Console, bar: Bar, task: TaskID) -> None:
        super().__init__(verb, every=every, out=out.print, problems=out.print)
        self._bar = bar
        self._task = task

    def advance(self, done: int, total: int, milliseconds: float) -> None:
        super().advance(done, total, milliseconds)
        rate = f"{1000 / milliseconds:,.0f}/s" if milliseconds else ""
        self._bar.update(self._task, completed=done, total=total, rate=rate)


def _print_now(text: str) -> None:
    print(text, flush=True)
