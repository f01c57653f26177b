"""A Qdrant server that fails: every request of a scenario once, in every way; what was acknowledged is there afterwards."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from fault_proxy import PASS, Fault, FaultProxy, fault_proxy
from mcp_memory.domain.errors import CircuitOpenError, StorageFullError, StorageUnavailableError
from mcp_memory.domain.memory import MemoryChanges
from mcp_memory.domain.query import EVERYTHING, MemoryFilter, SearchMode, SearchQuery
from mcp_memory.storage.base import UpsertMode, UpsertOutcome
from mcp_memory.storage.breaker import BreakerOptions, GuardedStorage
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.dropping import drop_collection
from mcp_memory.storage.qdrant_server.options import ServerOptions
from qdrant_backends import alias, server_url
from storage_samples import MODEL, memory, vector

pytestmark = pytest.mark.anyio
STORED, EXISTED = UpsertOutcome.STORED, UpsertOutcome.EXISTED
Decide = Callable[[int, str, str], Fault]


@pytest.fixture
async def proxy(anyio_backend: str) -> AsyncIterator[FaultProxy]:
    async with fault_proxy(server_url()) as proxy:
        yield proxy


async def opened(storage: QdrantServerStorage) -> None:
    """Returns when opening asks the server nothing any more: these tests count requests."""
    await storage.initialize()
    await storage._upkeep.looked()


@pytest.fixture
async def storage(proxy: FaultProxy, tmp_path: Path) -> AsyncIterator[QdrantServerStorage]:
    """Open, through the proxy, with short time-outs."""
    storage = QdrantServerStorage(ServerOptions((proxy.url,), MODEL, alias=alias(tmp_path), timeout=20.0))
    await opened(storage)
    yield storage
    proxy.restart_counting()
    await storage.close()
    await drop_collection(ServerOptions((server_url(),), MODEL, alias=alias(tmp_path)))


def once(number: int, fault: Fault) -> Decide:
    return lambda current, _method, _path: fault if current == number else PASS


def always(fault: Fault) -> Decide:
    return lambda _number, _method, _path: fault


async def scenario(storage: QdrantServerStorage) -> None:
    """Every kind of operation once, with the answers that a server without faults gives."""
    one, two, three = memory("one of three"), memory("two of three", tags=("a",)), memory("three of three", tags=("a",))
    hashes = [item.memory.content_hash for item in (one, two, three)]
    assert await storage.upsert([one, two], mode=UpsertMode.INSERT) == [STORED, STORED]
    assert await storage.upsert([two, three]) == [EXISTED, STORED]
    changed = await storage.update(hashes[1], MemoryChanges(metadata={"k": 1}))
    assert changed.metadata == {"k": 1}
    found = await storage.search(SearchQuery(SearchMode.HYBRID, "three", vector(1), limit=5))
    assert {hit.memory.content_hash for hit in found} == set(hashes)
    assert len((await storage.page(EVERYTHING, limit=2)).memories) == 2
    assert await storage.tags(EVERYTHING) == {"a": 2}
    assert await storage.delete([hashes[0]]) == [hashes[0]]
    assert await storage.delete_matching(MemoryFilter(tags=("a",))) == 2
    assert await storage.count(EVERYTHING) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [Fault(reset_before=True), Fault(reset_after=True), Fault(status=500), Fault(status=503)]
)
async def test_every_request_may_fail_once_and_nothing_is_lost_or_done_twice(
    storage: QdrantServerStorage, proxy: FaultProxy, fault: Fault
) -> None:
    proxy.restart_counting()
    await scenario(storage)
    total = proxy.requests
    assert total > 10
    for number in range(1, total + 1):
        proxy.restart_counting(once(number, fault))
        await scenario(storage)
        assert proxy.requests > total, f"request {number} was not sent again"


@pytest.mark.slow
async def test_opening_survives_a_reset_of_every_request(proxy: FaultProxy, tmp_path: Path) -> None:
    options = ServerOptions((proxy.url,), MODEL, alias=alias(tmp_path), timeout=20.0)

    async def open_close() -> None:
        storage = QdrantServerStorage(options)
        await storage.initialize()
        assert await storage.upsert([memory("there")]) == [STORED]
        await storage.close()
        await drop_collection(ServerOptions((server_url(),), MODEL, alias=alias(tmp_path)))

    await open_close()
    for number in range(1, proxy.requests + 1):
        proxy.restart_counting(once(number, Fault(reset_after=True)))
        await open_close()


async def refused(operation: Callable[[], Awaitable[object]]) -> tuple[str, float]:
    """The message of the StorageUnavailableError, and how many seconds it took."""
    started = time.monotonic()
    with pytest.raises(StorageUnavailableError) as caught:
        await operation()
    return caught.value.message, time.monotonic() - started


async def test_a_server_that_hangs_costs_one_timeout_and_nothing_afterwards(
    storage: QdrantServerStorage, proxy: FaultProxy, tmp_path: Path
) -> None:
    impatient = QdrantServerStorage(ServerOptions((proxy.url,), MODEL, alias=alias(tmp_path), timeout=1.0))
    await opened(impatient)
    proxy.restart_counting(once(1, Fault(hang=True)))
    message, seconds = await refused(lambda: impatient.count(EVERYTHING))
    assert "did not answer within 1 s" in message
    assert seconds < 3.0
    assert await impatient.count(EVERYTHING) == 0
    await impatient.close()


async def test_a_slow_server_is_waited_for(storage: QdrantServerStorage, proxy: FaultProxy) -> None:
    proxy.restart_counting(always(Fault(delay=0.2)))
    assert await storage.upsert([memory("slow")], mode=UpsertMode.INSERT) == [STORED]


async def test_a_server_that_keeps_failing_is_named(storage: QdrantServerStorage, proxy: FaultProxy) -> None:
    proxy.restart_counting(always(Fault(status=500)))
    message, seconds = await refused(lambda: storage.count(EVERYTHING))
    assert proxy.url in message
    assert "made by the test" in message
    assert seconds < 10.0


async def test_no_space_left_is_a_full_storage_and_not_tried_again(
    storage: QdrantServerStorage, proxy: FaultProxy
) -> None:
    body = b'{"status":{"error":"Service internal error: No space left on device: WAL buffer size exceeds available disk space"}}'
    proxy.restart_counting(
        lambda _number, method, path: Fault(status=500, body=body) if method == "PUT" and "/points" in path else PASS
    )
    with pytest.raises(StorageFullError, match="No space left"):
        await storage.upsert([memory("too much")], mode=UpsertMode.INSERT)
    assert proxy.requests == 1
    assert await storage.count(EVERYTHING) == 0


async def test_a_server_that_is_too_old_is_named_and_refused(proxy: FaultProxy, tmp_path: Path) -> None:
    def older(body: bytes) -> bytes:
        return body.replace(b'"version":"1.', b'"version":"1.17.0 1.')

    proxy.restart_counting(lambda _number, _method, path: Fault(rewrite=older) if path == "/" else PASS)
    storage = QdrantServerStorage(ServerOptions((proxy.url,), MODEL, alias=alias(tmp_path)))
    await storage.initialize()
    message, _ = await refused(lambda: storage.count(EVERYTHING))
    assert "is version 1.17.0" in message
    assert "needs 1.19 or later" in message
    await storage.close()


async def test_a_service_that_starts_before_its_server_works_once_it_is_there(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.restart_counting(always(Fault(reset_before=True)))
    options = ServerOptions((proxy.url,), MODEL, alias=alias(tmp_path), retry_seconds=0.2)
    storage = QdrantServerStorage(options)
    await storage.initialize()
    assert not (await storage.health()).healthy
    proxy.restart_counting()
    assert await storage.upsert([memory("late")]) == [STORED]
    assert (await storage.health()).healthy
    await storage.close()
    await drop_collection(options)


async def test_a_slow_server_opens_the_circuit_breaker(
    storage: QdrantServerStorage, proxy: FaultProxy, tmp_path: Path
) -> None:
    impatient = QdrantServerStorage(ServerOptions((proxy.url,), MODEL, alias=alias(tmp_path), timeout=0.5))
    await opened(impatient)
    guarded = GuardedStorage(impatient, BreakerOptions(failures=5, seconds=60.0))
    proxy.restart_counting(always(Fault(delay=5.0)))
    for _ in range(5):
        message, _ = await refused(lambda: guarded.count(EVERYTHING))
        assert "did not answer" in message
    with pytest.raises(CircuitOpenError, match="Circuit breaker OPEN - Qdrant unavailable"):
        await guarded.count(EVERYTHING)
    await guarded.close()
