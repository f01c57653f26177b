"""CircuitBreaker: a state machine that stops calling what keeps failing. No I/O; clocks are given."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from mcp_memory.domain.errors import CircuitOpenError

PROBE_RETRY_SECONDS = 1.0
"""What callers are told to wait while somebody else's probe is under way."""


class BreakerState(StrEnum):
    CLOSED = "closed"
    """Calls go through; failures in a row are counted."""
    HALF_OPEN = "half_open"
    """One call, the probe, goes through and decides."""
    OPEN = "open"
    """Calls are refused until `seconds` have passed; the first one after that is the probe."""

    @property
    def level(self) -> int:
        """0 closed, 1 half open, 2 open: the figure in /metrics."""
        return (BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN).index(self)


class Outcome(StrEnum):
    """What became of a call. NEUTRAL says nothing about the storage: bad input, a cancelled caller."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call, to be given back with its outcome. `epoch` tells results of an earlier state from today's."""

    epoch: int


Listener = Callable[[str, BreakerState], None]


class CircuitBreaker:
    """`failures` in a row open it for `seconds`; then exactly one call probes: its success closes, its failure opens again.

    A result that arrives after the state has changed is ignored, so calls that were under way when it opened neither close it nor
    prolong it. A neutral probe leaves the place to the next caller. Not thread-safe: belongs to one event loop.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int = 5,
        seconds: float = 60.0,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
        listener: Listener,
    ) -> None:
        """`monotonic` measures, `wall` (UTC seconds) is for the message; `listener(name, state)` hears of each change."""
        self.name = name
        self._failures = failures
        self._seconds = seconds
        self._monotonic = monotonic
        self._wall = wall
        self._listener = listener
        self._state = BreakerState.CLOSED
        self._epoch = 0
        self._in_a_row = 0
        self._opened_at = 0.0
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """OPEN until a call comes after the time is over: nothing changes by itself."""
        return self._state

    @property
    def refusal(self) -> CircuitOpenError | None:
        """What a call would be refused with now; None where it would go through."""
        left = self._opened_at + self._seconds - self._monotonic()
        if self._state is BreakerState.OPEN and left > 0:
            return self._refused(left)
        return self._refused(PROBE_RETRY_SECONDS) if self._probing else None

    def acquire(self) -> Permit:
        """Leave to make one call, or CircuitOpenError."""
        if (refusal := self.refusal) is not None:
            raise refusal
        if self._state is BreakerState.OPEN:
            self._become(BreakerState.HALF_OPEN)
        self._probing = self._state is BreakerState.HALF_OPEN
        return Permit(self._epoch)

    def release(self, permit: Permit, outcome: Outcome) -> None:
        """Give the permit back. Each is given back once."""
        if permit.epoch != self._epoch:
            return
        self._probing = False
        if outcome is Outcome.SUCCESS:
            self._in_a_row = 0
            if self._state is BreakerState.HALF_OPEN:
                self._become(BreakerState.CLOSED)
        elif outcome is Outcome.FAILURE:
            self._in_a_row += 1
            if self._state is BreakerState.HALF_OPEN or self._in_a_row >= self._failures:
                self._opened_at = self._monotonic()
                self._become(BreakerState.OPEN)

    def _become(self, state: BreakerState) -> None:
        self._state = state
        self._epoch += 1
        self._in_a_row = 0
        self._probing = False
        self._listener(self.name, state)

    def _refused(self, left: float) -> CircuitOpenError:
        # The message shows whole seconds: rounded up, so that who comes at that time isn't refused again.
        retry_at = datetime.fromtimestamp(0, UTC) + timedelta(seconds=math.ceil(self._wall() + left))
        return CircuitOpenError(retry_at=retry_at, retry_after=left)
