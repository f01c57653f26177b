"""GuardedStorage: what opens a breaker, what doesn't, and what callers are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np
import pytest
from structlog.testing import capture_logs

from mcp_memory.domain.errors import (
    CircuitOpenError,
    DimensionMismatchError,
    InvalidInputError,
    MemoryNotFoundError,
    ModelChangedError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from mcp_memory.domain.memory import EmbeddedMemory, Memory, MemoryChanges, content_hash
from mcp_memory.domain.query import EVERYTHING, Cursor, FacetField, MemoryFilter, SearchQuery
from mcp_memory.storage.base import BaseStorage, UpsertMode, Version
from mcp_memory.storage.breaker import BreakerOptions, BreakerState, GuardedStorage
from reference_storage import ReferenceStorage

pytestmark = pytest.mark.anyio
HASH = content_hash("a")
DOWN = StorageUnavailableError("The engine can't be reached.")
FULL = StorageFullError("No space left.")


def memory(text: str = "a") -> EmbeddedMemory:
    return EmbeddedMemory(Memory(text, content_hash(text), 1.0, 1.0), np.ones(4, np.float32) / 2)


async def drain(storage: BaseStorage) -> list[str]:
    return [item.memory.content async for batch in storage.iterate(batch_size=1) for item in batch]


async def compare(storage: BaseStorage) -> list[str]:
    return [one.content_hash for batch in [part async for part in storage.versions(batch_size=1)] for one in batch]


READS: dict[str, Callable[[BaseStorage], Awaitable[object]]] = {
    "get": lambda storage: storage.get([HASH]),
    "get_embedded": lambda storage: storage.get_embedded([HASH]),
    "search": lambda storage: storage.search(SearchQuery()),
    "page": lambda storage: storage.page(EVERYTHING, limit=1),
    "count": lambda storage: storage.count(EVERYTHING),
    "tags": lambda storage: storage.tags(EVERYTHING),
    "facet": lambda storage: storage.facet(FacetField.TAGS, EVERYTHING),
    "stats": lambda storage: storage.stats(),
    "iterate": drain,
    "versions": compare,
}
WRITES: dict[str, Callable[[BaseStorage], Awaitable[object]]] = {
    "upsert": lambda storage: storage.upsert([memory()]),
    "update": lambda storage: storage.update(HASH, MemoryChanges(tags=("b",))),
    "optimize": lambda storage: storage.optimize(),
}
DELETIONS: dict[str, Callable[[BaseStorage], Awaitable[object]]] = {
    "delete": lambda storage: storage.delete([content_hash("nothing")]),
    "delete_matching": lambda storage: storage.delete_matching(MemoryFilter(tags=("none",))),
}
"""How people get out of a full disk: never kept from it."""
OPERATIONS = READS | WRITES | DELETIONS
GROWING = {"delete_matching", "tags", "facet", "optimize"}
"""Work that takes longer the more there is: it has no time-out here."""


class Failing:
    """A storage in front of the reference one: raises `error`, or waits for `gate`, in every operation."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.calls = 0
        self._real = ReferenceStorage(4)

    async def trouble(self) -> None:
        self.calls += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error

    def __getattr__(self, name: str) -> object:
        operation = getattr(self._real, name)

        async def call(*args: object, **kwargs: object) -> object:
            await self.trouble()
            return await operation(*args, **kwargs)

        return call

    async def iterate(self, *args: object, **kwargs: object) -> AsyncIterator[list[EmbeddedMemory]]:
        async for batch in self._real.iterate(*args, **kwargs):  # type: ignore[arg-type]
            await self.trouble()
            yield batch
        await self.trouble()

    async def versions(self, *, batch_size: int) -> AsyncIterator[list[Version]]:
        async for batch in self._real.versions(batch_size=batch_size):
            await self.trouble()
            yield batch
        await self.trouble()


class Bench:
    """A guarded failing storage with a clock."""

    def __init__(self, options: BreakerOptions | None = None) -> None:
        self.now = 0.0
        self.wall = 1_737_023_640.0  # 2025-01-16T10:34:00Z
        self.changes: list[tuple[str, BreakerState]] = []
        self.inner = Failing()
        self.storage = GuardedStorage(
            self.inner,  # type: ignore[arg-type]
            options,
            listener=lambda name, state: self.changes.append((name, state)),
            monotonic=lambda: self.now,
            wall=lambda: self.wall + self.now,
        )

    async def fail(self, operation: str, error: Exception, times: int = 5) -> None:
        self.inner.error = error
        for _ in range(times):
            with pytest.raises(type(error)) as raised:
                await OPERATIONS[operation](self.storage)
            assert raised.value is error
        self.inner.error = None


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.storage.upsert([memory()])
    bench.inner.calls = 0
    return bench


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_five_failures_of_any_operation_open_everything_with_the_guides_message(
    bench: Bench, operation: str
) -> None:
    await bench.fail(operation, DOWN)
    assert bench.storage.states == {"reads": BreakerState.OPEN, "writes": BreakerState.OPEN}
    before = bench.inner.calls
    for call in OPERATIONS.values():
        with pytest.raises(CircuitOpenError) as refused:
            await call(bench.storage)
        assert str(refused.value) == "Circuit breaker OPEN - Qdrant unavailable. Retry after 2025-01-16T10:35:00Z"
        assert refused.value.retry_after == 60
    assert bench.inner.calls == before


async def test_four_failures_and_a_success_leave_it_closed(bench: Bench) -> None:
    for _ in range(3):
        await bench.fail("count", DOWN, 4)
        assert await bench.storage.count(EVERYTHING) == 1
    assert bench.changes == []


@pytest.mark.parametrize(
    "error",
    [
        InvalidInputError("bad"),
        MemoryNotFoundError(HASH),
        DimensionMismatchError(expected=4, got=5),
        ModelChangedError(old_model="a", new_model="b", old_dimensions=1, new_dimensions=2),
        StorageBusyError("maintenance"),
        StorageError("something else"),
        ValueError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("operation", ["search", "upsert"])
async def test_what_says_nothing_about_the_storage_is_never_counted(
    bench: Bench, operation: str, error: Exception
) -> None:
    await bench.fail(operation, error, 20)
    assert bench.changes == []
    await bench.fail(operation, DOWN, 4)
    await bench.fail(operation, error, 1)
    await bench.fail(operation, DOWN, 1)  # the fifth in a row, as far as the storage goes
    assert bench.storage.states["writes"] is BreakerState.OPEN


async def test_a_full_disk_stops_writes_and_leaves_reads_and_deletions_alone(bench: Bench) -> None:
    await bench.fail("upsert", FULL)
    assert bench.storage.states == {"reads": BreakerState.CLOSED, "writes": BreakerState.OPEN}
    assert bench.changes == [("writes", BreakerState.OPEN)]
    for call in (READS | DELETIONS).values():
        await call(bench.storage)
    for call in WRITES.values():
        with pytest.raises(CircuitOpenError):
            await call(bench.storage)


async def test_writes_that_fail_open_even_where_reads_succeed_in_between(bench: Bench) -> None:
    for _ in range(5):
        await bench.fail("upsert", DOWN, 1)
        await bench.storage.count(EVERYTHING)
    assert bench.storage.states == {"reads": BreakerState.CLOSED, "writes": BreakerState.OPEN}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_after_the_time_one_success_closes_it(bench: Bench, operation: str) -> None:
    await bench.fail("upsert", DOWN)
    bench.now += 59.9
    with pytest.raises(CircuitOpenError):
        await OPERATIONS[operation](bench.storage)
    bench.now += 0.2
    await OPERATIONS[operation](bench.storage)
    assert bench.storage.states["reads"] is BreakerState.CLOSED
    expected = BreakerState.CLOSED if operation in WRITES else BreakerState.OPEN
    assert bench.storage.states["writes"] is expected
    await bench.storage.upsert([memory("b")])
    assert bench.storage.states["writes"] is BreakerState.CLOSED


async def test_a_probe_that_fails_opens_it_for_the_whole_time_again(bench: Bench) -> None:
    await bench.fail("count", DOWN)
    bench.now += 60
    await bench.fail("count", DOWN, 1)
    assert [state for _, state in bench.changes] == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.OPEN]
    bench.now += 59
    with pytest.raises(CircuitOpenError) as refused:
        await bench.storage.count(EVERYTHING)
    assert refused.value.retry_after == pytest.approx(1)


@pytest.mark.parametrize("operation", ["count", "upsert", "iterate"])
async def test_of_a_hundred_callers_after_the_time_exactly_one_probes(bench: Bench, operation: str) -> None:
    await bench.fail(operation, DOWN)
    bench.now += 60
    bench.inner.gate = asyncio.Event()
    before = bench.inner.calls
    callers = [asyncio.ensure_future(OPERATIONS[operation](bench.storage)) for _ in range(100)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert bench.inner.calls == before + 1
    bench.inner.gate.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert sum(isinstance(result, CircuitOpenError) for result in results) == 99
    assert bench.storage.states["reads"] is BreakerState.CLOSED


@pytest.mark.parametrize("operation", ["count", "upsert"])
async def test_a_probe_whose_caller_goes_away_leaves_the_place_to_the_next(bench: Bench, operation: str) -> None:
    await bench.fail(operation, DOWN)
    bench.now += 60
    bench.inner.gate = asyncio.Event()
    probe = asyncio.ensure_future(OPERATIONS[operation](bench.storage))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(CircuitOpenError) as refused:
        await OPERATIONS[operation](bench.storage)
    assert refused.value.retry_after == 1
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    bench.inner.gate.set()
    await OPERATIONS[operation](bench.storage)
    assert bench.storage.states["writes" if operation == "upsert" else "reads"] is BreakerState.CLOSED


@pytest.mark.parametrize("opened_before", [0, 1, 2])
async def test_calls_under_way_when_it_opens_neither_close_it_nor_prolong_it(bench: Bench, opened_before: int) -> None:
    for _ in range(opened_before):
        await bench.fail("count", DOWN)
        bench.now += 60
        await bench.storage.count(EVERYTHING)
    bench.inner.gate = gate = asyncio.Event()
    late = [asyncio.ensure_future(bench.storage.count(EVERYTHING)) for _ in range(10)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bench.inner.gate = None
    await bench.fail("count", DOWN)
    bench.now += 30
    bench.inner.error = DOWN
    gate.set()
    await asyncio.gather(*late, return_exceptions=True)
    bench.inner.error = None
    bench.now += 30
    assert await bench.storage.count(EVERYTHING) == 1


async def test_a_storage_that_is_too_slow_opens_it() -> None:
    bench = Bench(BreakerOptions(timeout=0.01))
    bench.inner.gate = asyncio.Event()
    for _ in range(5):
        with pytest.raises(StorageUnavailableError, match=r"didn't answer within 0\.01 seconds"):
            await bench.storage.search(SearchQuery())
    with pytest.raises(CircuitOpenError):
        await bench.storage.search(SearchQuery())


@pytest.mark.parametrize("operation", sorted(OPERATIONS.keys() - GROWING))
async def test_every_operation_has_the_time_out(operation: str) -> None:
    bench = Bench(BreakerOptions(timeout=0.01))
    bench.inner.gate = asyncio.Event()
    with pytest.raises(StorageUnavailableError, match=r"didn't answer within 0\.01 seconds"):
        await OPERATIONS[operation](bench.storage)


@pytest.mark.parametrize("operation", sorted(GROWING))
async def test_work_that_grows_with_the_collection_may_take_its_time(operation: str) -> None:
    bench = Bench(BreakerOptions(timeout=0.01))
    bench.inner.gate = asyncio.Event()
    working = asyncio.ensure_future(OPERATIONS[operation](bench.storage))
    await asyncio.wait([working], timeout=0.1)
    assert not working.done()
    bench.inner.gate.set()
    await working


async def test_the_log_warns_of_an_open_breaker_and_tells_when_it_is_closed() -> None:
    bench = Bench(BreakerOptions(seconds=60))
    with capture_logs() as logs:
        await bench.fail("count", DOWN)
        bench.now += 60
        await bench.storage.count(EVERYTHING)
    changed = [
        (line["log_level"], line["breaker"], line["state"], line["seconds"])
        for line in logs
        if line["event"] == "circuit breaker changed"
    ]
    assert changed[0] == ("warning", "reads", BreakerState.OPEN.value, 60)
    assert changed[-1] == ("info", "reads", BreakerState.CLOSED.value, 60)


async def test_options_say_how_many_failures_open_it_and_for_how_long() -> None:
    bench = Bench(BreakerOptions(failures=2, seconds=7))
    await bench.fail("count", DOWN, 2)
    assert bench.changes == [("reads", BreakerState.OPEN)]
    with pytest.raises(CircuitOpenError) as refused:
        await bench.storage.count(EVERYTHING)
    assert refused.value.retry_after == 7


class Heard:
    """Notes what it is asked, in place of a storage."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []

    def __getattr__(self, name: str) -> object:
        async def call(*args: object, **kwargs: object) -> None:
            self.calls.append((name, args, kwargs))

        return call

    async def iterate(self, *args: object, **kwargs: object) -> AsyncIterator[list[EmbeddedMemory]]:
        self.calls.append(("iterate", args, kwargs))
        yield [memory()]

    async def versions(self, **kwargs: object) -> AsyncIterator[list[Version]]:
        self.calls.append(("versions", (), kwargs))
        yield []


async def test_what_an_operation_is_given_reaches_the_storage() -> None:
    heard = Heard()
    storage = GuardedStorage(heard)  # type: ignore[arg-type]
    one, where, cursor = memory(), MemoryFilter(tags=("a",)), Cursor(1.0, HASH)
    await storage.upsert([one], mode=UpsertMode.INSERT)
    await storage.upsert([one])
    await storage.page(where, limit=3, cursor=cursor, offset=4)
    await storage.page(where, limit=3)
    async for _ in storage.iterate(where, batch_size=5, after_id=HASH):
        pass
    async for _ in storage.iterate():
        pass
    async for _ in storage.versions():
        pass
    assert heard.calls == [
        ("upsert", ([one],), {"mode": UpsertMode.INSERT}),
        ("upsert", ([one],), {"mode": UpsertMode.REPLACE}),
        ("page", (where,), {"limit": 3, "cursor": cursor, "offset": 4}),
        ("page", (where,), {"limit": 3, "cursor": None, "offset": 0}),
        ("iterate", (where,), {"batch_size": 5, "after_id": HASH}),
        ("iterate", (EVERYTHING,), {"batch_size": 256, "after_id": None}),
        ("versions", (), {"batch_size": 1_000}),
    ]


async def test_health_of_a_storage_that_was_never_seen_well_is_unknown(bench: Bench) -> None:
    await bench.fail("count", DOWN)
    health = await bench.storage.health()
    assert (health.healthy, health.backend, health.collections, health.vector_dimensions) == (False, "unknown", 0, 0)


async def test_a_reader_that_stops_early_lets_go_of_the_storages_iterator(bench: Bench) -> None:
    await bench.storage.upsert([memory("b")])
    batches = bench.storage.iterate(batch_size=1)
    async for _ in batches:
        break
    await batches.aclose()  # type: ignore[attr-defined]
    await bench.fail("count", DOWN, 4)
    assert bench.changes == []


async def test_a_reader_that_stops_early_has_the_storage_finish_at_once() -> None:
    finished: list[str] = []

    class Reading(Heard):
        async def iterate(self, *_args: object, **_kwargs: object) -> AsyncIterator[list[EmbeddedMemory]]:
            try:
                yield [memory()]
                yield [memory("b")]
            finally:
                finished.append("iterate")

    batches = GuardedStorage(Reading()).iterate()  # type: ignore[arg-type]
    assert len(await anext(batches)) == 1
    await batches.aclose()  # type: ignore[attr-defined]
    assert finished == ["iterate"]


async def test_an_open_breaker_answers_health_without_asking_the_storage(bench: Bench) -> None:
    assert (await bench.storage.health()).healthy
    await bench.fail("count", DOWN)
    before = bench.inner.calls
    health = await bench.storage.health()
    assert (health.healthy, health.backend, health.vector_dimensions) == (False, "reference", 4)
    assert health.message is not None
    assert health.message.startswith("Circuit breaker OPEN - Qdrant unavailable.")
    assert bench.inner.calls == before
    bench.now += 60
    assert (await bench.storage.health()).healthy


async def test_every_operation_of_the_contract_is_guarded(bench: Bench) -> None:
    """A method that is added to BaseStorage without a guard of its own would go round the breaker."""
    unguarded = {"initialize", "close", "health"}
    assert set(OPERATIONS) | unguarded == {name for name in vars(BaseStorage) if not name.startswith("_")}
    assert set(OPERATIONS) | unguarded <= set(vars(GuardedStorage))
