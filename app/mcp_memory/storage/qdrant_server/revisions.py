"""Revisions that grow, whoever writes."""

from __future__ import annotations

import time
from collections.abc import Callable

from mcp_memory.domain.memory import next_revision


class RevisionClock:
    """Later than every revision it has given or been shown. Processes share none: between two of them, wall clocks decide."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._latest = 0

    def next(self, given: int = 1) -> int:
        """A revision that no other call of this process gets, not below `given`."""
        self._latest = next_revision(self._clock(), max(self._latest, given - 1))
        return self._latest

    def seen(self, revision: int) -> None:
        self._latest = max(self._latest, revision)
