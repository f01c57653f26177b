"""Everything measured for Prometheus. Labels have few values each: routes, methods, operations, never a path or a hash.

With several workers (PROMETHEUS_MULTIPROC_DIR set before the first import) the values of all are added up at each scrape.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from mcp_memory.build import build_info
from mcp_memory.domain.errors import StorageError

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
GAUGE_SECONDS = 15.0
"""Counts of memories are read from the storage at most this often."""

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
HTTP_SECONDS = Histogram(
    "mcp_memory_http_request_duration_seconds",
    "Time to answer, by route template, method and status",
    ["route", "method", "status"],
    buckets=_FAST,
)
HTTP_IN_PROGRESS = Gauge(
    "mcp_memory_http_requests_in_progress", "Requests in work or waiting", multiprocess_mode="livesum"
)
STORAGE_SECONDS = Histogram(
    "mcp_memory_storage_operation_duration_seconds",
    "Time of storage operations, by operation",
    ["operation"],
    buckets=_FAST,
)
STORAGE_FAILURES = Counter(
    "mcp_memory_storage_failures_total",
    "Storage operations that failed, by operation and error code",
    ["operation", "code"],
)
EMBEDDING_SECONDS = Histogram(
    "mcp_memory_embedding_duration_seconds",
    "Time to embed one request's texts, waiting included",
    ["kind"],
    buckets=_FAST,
)
EMBEDDING_INFERENCE_SECONDS = Histogram(
    "mcp_memory_embedding_inference_duration_seconds", "Time of one call of the model", buckets=_FAST
)
EMBEDDING_BATCH = Histogram(
    "mcp_memory_embedding_batch_size", "Windows of text in one call of the model", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
BREAKER_STATE = Gauge(
    "mcp_memory_circuit_breaker_state",
    "0 closed, 1 half open, 2 open, for reads and for writes; the worst worker's",
    ["operations"],
    multiprocess_mode="livemax",
)


def observe_embedding_batch(size: int, seconds: float) -> None:
    """Count one call of the model; called from its worker threads."""
    EMBEDDING_BATCH.observe(size)
    EMBEDDING_INFERENCE_SECONDS.observe(seconds)


class StoreGauges:
    """Counts of memories and indexed vectors, read from the storage when asked for and older than 15 s."""

    def __init__(
        self,
        read: Callable[[], Awaitable[tuple[int, int]]],
        breaker_states: Callable[[], Mapping[str, int]],
        *,
        max_age: float = GAUGE_SECONDS,
    ) -> None:
        self._read = read
        self._breaker_states = breaker_states
        self._max_age = max_age
        self._values: tuple[int, int] | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def families(self) -> list[GaugeMetricFamily]:
        """The gauges; without counts while the storage can't tell."""
        for operations, level in self._breaker_states().items():
            BREAKER_STATE.labels(operations).set(level)
        async with self._reading:
            if time.monotonic() - self._read_at > self._max_age:
                self._values = await self._read_or_none()
                self._read_at = time.monotonic()
        info = build_info()
        build = GaugeMetricFamily("mcp_memory_build_info", "Versions, always 1", labels=list(info))
        build.add_metric(list(info.values()), 1)
        families = [build]
        if self._values is not None:
            memories, indexed = self._values
            families.append(GaugeMetricFamily("mcp_memory_memories", "Stored memories", value=memories))
            families.append(
                GaugeMetricFamily("mcp_memory_indexed_vectors", "Memories whose vector is indexed", value=indexed)
            )
        return families

    async def _read_or_none(self) -> tuple[int, int] | None:
        try:
            return await self._read()
        except StorageError:
            return None


class _Families:
    """Hands computed families to a registry for one scrape."""

    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._families


async def exposition(gauges: StoreGauges) -> bytes:
    """All metrics in the Prometheus text format."""
    families = _Families(await gauges.families())
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        registry.register(families)
        return generate_latest(registry)
    computed = CollectorRegistry()
    computed.register(families)
    return generate_latest(REGISTRY) + generate_latest(computed)


@asynccontextmanager
async def storage_operation(operation: str) -> AsyncIterator[None]:
    """Time one storage operation and count its failure."""
    with STORAGE_SECONDS.labels(operation).time():
        try:
            yield
        except StorageError as error:
            STORAGE_FAILURES.labels(operation, error.code).inc()
            raise
