"""The circuit breaker's state machine against a model that works everything out from the history of calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from mcp_memory.domain.errors import CircuitOpenError
from mcp_memory.storage.circuit import BreakerState, CircuitBreaker, Outcome, Permit

FAILURES, SECONDS = 3, 60.0
START = datetime(2025, 1, 16, 10, 34, 0, tzinfo=UTC).timestamp()


@dataclass
class Call:
    """A call that was let through: in which period of the breaker's life, and whether it was the probe."""

    period: int
    probe: bool
    permit: Permit


@dataclass
class Model:
    """The rules, told plainly. A period lasts from one change of state to the next."""

    state: BreakerState = BreakerState.CLOSED
    period: int = 0
    opened_at: float = 0.0
    probe_out: bool = False
    results: list[Outcome] = field(default_factory=list)

    def lets_through(self, now: float) -> bool:
        if self.state is BreakerState.OPEN:
            return now >= self.opened_at + SECONDS
        return self.state is BreakerState.CLOSED or not self.probe_out

    def started(self) -> None:
        if self.state is BreakerState.OPEN:
            self.enter(BreakerState.HALF_OPEN)
        self.probe_out = self.state is BreakerState.HALF_OPEN

    def ended(self, call: Call, outcome: Outcome, now: float) -> None:
        if call.period != self.period:
            return
        if call.probe:
            self.probe_out = False
            if outcome is Outcome.SUCCESS:
                self.enter(BreakerState.CLOSED)
            elif outcome is Outcome.FAILURE:
                self.enter(BreakerState.OPEN, now)
        elif outcome is not Outcome.NEUTRAL:
            self.results.append(outcome)
            if self.results[-FAILURES:] == [Outcome.FAILURE] * FAILURES:
                self.enter(BreakerState.OPEN, now)

    def enter(self, state: BreakerState, now: float = 0.0) -> None:
        self.state, self.opened_at, self.probe_out, self.results = state, now, False, []
        self.period += 1


class BreakerMachine(RuleBasedStateMachine):
    """Calls start, end in any order with any outcome, and time passes."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.heard: list[BreakerState] = []
        self.model = Model()
        self.breaker = CircuitBreaker(
            "reads",
            failures=FAILURES,
            seconds=SECONDS,
            monotonic=lambda: self.now,
            wall=lambda: START + self.now,
            listener=lambda _name, state: self.heard.append(state),
        )

    @rule(target=calls)
    def start(self) -> Call | None:
        allowed = self.model.lets_through(self.now)
        assert (self.breaker.refusal is None) == allowed
        if not allowed:
            with pytest.raises(CircuitOpenError) as refused:
                self.breaker.acquire()
            assert 0 < refused.value.retry_after <= SECONDS
            assert refused.value.retry_at.timestamp() >= START + self.now + refused.value.retry_after
            return None
        permit = self.breaker.acquire()
        self.model.started()
        return Call(self.model.period, self.model.probe_out, permit)

    @rule(call=consumes(calls), outcome=st.sampled_from(Outcome))
    def end(self, call: Call | None, outcome: Outcome) -> None:
        if call is not None:
            self.breaker.release(call.permit, outcome)
            self.model.ended(call, outcome, self.now)

    @rule(calls_=st.integers(1, 4))
    def fail_in_a_row(self, calls_: int) -> None:
        """As `start` and `end` would in time: gets to OPEN often."""
        for _ in range(calls_):
            self.end(self.start(), Outcome.FAILURE)

    @rule(seconds=st.sampled_from([0.5, 30.0, SECONDS, 1000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def same_state(self) -> None:
        assert self.breaker.state is self.model.state

    @invariant()
    def every_change_is_heard_once(self) -> None:
        assert len(self.heard) == self.model.period
        assert self.heard == [] or self.heard[-1] is self.breaker.state


BreakerMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestBreakerAgreesWithTheModel = BreakerMachine.TestCase
