"""A progress bar on stderr, where that is a terminal; silent elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


class Progress:
    """How much of a known (or unknown: None) total is done."""

    def __init__(self, what: str, *, total: int | None, done: int = 0, bytes_: bool = False) -> None:
        self._what = what
        self._total = total
        self._done = done
        self._bytes = bytes_
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar, self._task = self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, amount: int) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, amount)

    def _start(self) -> tuple[Bar, TaskID]:
        from rich import progress  # noqa: PLC0415 - on a terminal only

        from mcp_memory.cli.output import console  # noqa: PLC0415

        amount = progress.DownloadColumn() if self._bytes else progress.MofNCompleteColumn()
        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            amount,
            progress.TimeRemainingColumn(),
        )
        bar = progress.Progress(*columns, console=console(stderr=True), transient=True)
        bar.start()
        return bar, bar.add_task(self._what, total=self._total, completed=self._done)
