"""GuardedStorage: any storage behind circuit breakers, so that one that is down costs its callers nothing but a clear answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from mcp_memory.domain.errors import StorageBusyError, StorageFullError, StorageUnavailableError
from mcp_memory.domain.memory import EmbeddedMemory, Memory, MemoryChanges, ScoredMemory
from mcp_memory.domain.query import EVERYTHING, Cursor, FacetField, MemoryFilter, Page, SearchQuery
from mcp_memory.loggers import structlog
from mcp_memory.storage.base import (
    BackupReport,
    BaseStorage,
    LiveStorage,
    OptimizeReport,
    StorageHealth,
    StorageStats,
    UpsertMode,
    UpsertOutcome,
    Version,
)
from mcp_memory.storage.circuit import BreakerState, CircuitBreaker, Listener, Outcome, Permit

__all__ = ["BreakerOptions", "BreakerState", "CircuitBreaker", "GuardedLiveStorage", "GuardedStorage", "guarded"]

_log = structlog.get_logger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BreakerOptions:
    """`timeout` is for one operation or one batch of `iterate`, in seconds; None leaves time-outs to the backend.

    Work that grows with the collection (optimize, delete_matching, facet, tags) has no time-out here.
    """

    failures: int = 5
    seconds: float = 60.0
    timeout: float | None = None


class GuardedStorage(BaseStorage):
    """Two breakers. "reads" guards everything: it counts operations of any kind that found the storage unavailable. "writes"
    guards what stores and changes: it counts those that found it unavailable or full, so a full disk leaves reads alone, and
    deletions, which are the way out of it.

    Failures are StorageUnavailableError, StorageFullError and time-outs. Maintenance, a full queue, bad input, unknown hashes and
    a cancelled caller say nothing about the storage. `initialize`, `close` and `health` are never refused.
    """

    def __init__(
        self,
        inner: BaseStorage,
        options: BreakerOptions | None = None,
        *,
        listener: Listener | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`listener(name, state)`, name "reads" or "writes", hears of each change of one breaker's state."""
        self.inner = inner
        self._options = options or BreakerOptions()
        self._listener = listener
        self._last_health = StorageHealth(False, "unknown", 0, 0)

        def breaker(name: str) -> CircuitBreaker:
            return CircuitBreaker(
                name,
                failures=self._options.failures,
                seconds=self._options.seconds,
                monotonic=monotonic,
                wall=wall,
                listener=self._changed,
            )

        self._reads, self._writes = breaker("reads"), breaker("writes")

    @property
    def states(self) -> dict[str, BreakerState]:
        """What holds for reads, and for writes: the worse of both breakers."""
        worse = max(self._reads.state, self._writes.state, key=lambda state: state.level)
        return {"reads": self._reads.state, "writes": worse}

    async def initialize(self) -> None:
        await self.inner.initialize()

    async def close(self) -> None:
        await self.inner.close()

    async def upsert(
        self, memories: Sequence[EmbeddedMemory], *, mode: UpsertMode = UpsertMode.REPLACE
    ) -> list[UpsertOutcome]:
        async with self._write(self._options.timeout):
            return await self.inner.upsert(memories, mode=mode)

    async def get(self, hashes: Sequence[str]) -> dict[str, Memory]:
        async with self._read(self._options.timeout):
            return await self.inner.get(hashes)

    async def get_embedded(self, hashes: Sequence[str]) -> dict[str, EmbeddedMemory]:
        async with self._read(self._options.timeout):
            return await self.inner.get_embedded(hashes)

    async def delete(self, hashes: Sequence[str]) -> list[str]:
        async with self._read(self._options.timeout):
            return await self.inner.delete(hashes)

    async def delete_matching(self, where: MemoryFilter) -> int:
        async with self._read(None):
            return await self.inner.delete_matching(where)

    async def update(self, content_hash: str, changes: MemoryChanges) -> Memory:
        async with self._write(self._options.timeout):
            return await self.inner.update(content_hash, changes)

    async def search(self, query: SearchQuery) -> list[ScoredMemory]:
        async with self._read(self._options.timeout):
            return await self.inner.search(query)

    async def page(self, where: MemoryFilter, *, limit: int, cursor: Cursor | None = None, offset: int = 0) -> Page:
        async with self._read(self._options.timeout):
            return await self.inner.page(where, limit=limit, cursor=cursor, offset=offset)

    async def count(self, where: MemoryFilter) -> int:
        async with self._read(self._options.timeout):
            return await self.inner.count(where)

    async def tags(self, where: MemoryFilter) -> dict[str, int]:
        async with self._read(None):
            return await self.inner.tags(where)

    async def facet(self, field: FacetField, where: MemoryFilter) -> dict[str, int]:
        async with self._read(None):
            return await self.inner.facet(field, where)

    async def stats(self) -> StorageStats:
        async with self._read(self._options.timeout):
            return await self.inner.stats()

    async def health(self) -> StorageHealth:
        """While the breaker for reads is open: unhealthy, with its message, and the storage isn't asked."""
        if (refusal := self._reads.refusal) is not None:
            return replace(self._last_health, healthy=False, message=refusal.message)
        self._last_health = await self.inner.health()
        return self._last_health

    async def iterate(
        self, where: MemoryFilter = EVERYTHING, *, batch_size: int = 256, after_id: str | None = None
    ) -> AsyncIterator[list[EmbeddedMemory]]:
        batches = self.inner.iterate(where, batch_size=batch_size, after_id=after_id)
        async with aclosing(self._batches(batches)) as guarded_batches:
            async for batch in guarded_batches:
                yield batch

    async def versions(self, *, batch_size: int = 1_000) -> AsyncIterator[list[Version]]:
        async with aclosing(self._batches(self.inner.versions(batch_size=batch_size))) as batches:
            async for batch in batches:
                yield batch

    async def _batches(self, batches: AsyncIterator[list[T]]) -> AsyncGenerator[list[T], None]:
        """Each batch asked for like a read of its own. Who stops early closes it, and with it the storage's own iterator."""
        try:
            while True:
                async with self._read(self._options.timeout):
                    batch = await anext(batches, None)
                if batch is None:
                    return
                yield batch
        finally:
            if (finish := getattr(batches, "aclose", None)) is not None:
                await finish()

    async def optimize(self) -> OptimizeReport:
        async with self._write(None):
            return await self.inner.optimize()

    @asynccontextmanager
    async def _read(self, seconds: float | None) -> AsyncIterator[None]:
        permit = self._reads.acquire()
        outcome = Outcome.NEUTRAL
        try:
            async with _limited(seconds):
                yield
            outcome = Outcome.SUCCESS
        except StorageUnavailableError as error:
            outcome = _of_unavailable(error)
            raise
        finally:
            self._reads.release(permit, outcome)

    @asynccontextmanager
    async def _write(self, seconds: float | None) -> AsyncIterator[None]:
        permit = self._acquire_write()
        outcome = Outcome.NEUTRAL
        try:
            async with self._read(seconds):
                yield
            outcome = Outcome.SUCCESS
        except StorageUnavailableError as error:
            outcome = _of_unavailable(error)
            raise
        except StorageFullError:
            outcome = Outcome.FAILURE
            raise
        finally:
            self._writes.release(permit, outcome)

    def _acquire_write(self) -> Permit:
        """Ask the breaker for reads first, without taking its permit: a probe of the other that it refuses would be wasted."""
        if (refusal := self._reads.refusal) is not None:
            raise refusal
        return self._writes.acquire()

    def _changed(self, name: str, state: BreakerState) -> None:
        log = _log.warning if state is BreakerState.OPEN else _log.info
        log("circuit breaker changed", breaker=name, state=state.value, seconds=self._options.seconds)
        if self._listener is not None:
            self._listener(name, state)


class GuardedLiveStorage(GuardedStorage):
    """A storage that is quantized, backed up and restored while it serves. None of that has a time-out here."""

    async def set_quantization(self, kind: str | None) -> None:
        async with self._write(None):
            await self._live.set_quantization(kind)

    async def backup(self, folder: Path) -> BackupReport:
        async with self._read(None):
            return await self._live.backup(folder)

    async def restore(self, folder: Path) -> BackupReport:
        async with self._write(None):
            return await self._live.restore(folder)

    @property
    def _live(self) -> LiveStorage:
        assert isinstance(self.inner, LiveStorage)  # noqa: S101  (`guarded` has looked)
        return self.inner


def guarded(inner: BaseStorage, options: BreakerOptions | None = None) -> GuardedStorage:
    """The storage behind breakers. What it can do beyond BaseStorage, it still can, and nothing else."""
    kind = GuardedLiveStorage if isinstance(inner, LiveStorage) else GuardedStorage
    return kind(inner, options)


def _of_unavailable(error: StorageUnavailableError) -> Outcome:
    return Outcome.NEUTRAL if isinstance(error, StorageBusyError) else Outcome.FAILURE


@asynccontextmanager
async def _limited(seconds: float | None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise StorageUnavailableError(f"The storage didn't answer within {seconds:g} seconds.") from error
