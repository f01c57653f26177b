"""Trouble of the storage, told to clients: status, code, Retry-After, and no more than they should know."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from small_application import Connect

from mcp_memory.domain.errors import (
    CircuitOpenError,
    EmbeddingError,
    MemoryServiceError,
    ModelChangedError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from mcp_memory.domain.query import MemoryFilter
from mcp_memory.storage.base import BaseStorage, StorageHealth, StorageStats
from reference_storage import ReferenceStorage

pytestmark = pytest.mark.anyio
RETRY_AT = datetime(2025, 1, 16, 10, 35, tzinfo=UTC)


class Troubled(ReferenceStorage):
    """Fails as it is told to."""

    error: Exception | None = None
    counted = 0

    async def tags(self, where: MemoryFilter) -> dict[str, int]:
        if self.error is not None:
            raise self.error
        return await super().tags(where)

    async def stats(self) -> StorageStats:
        self.counted += 1
        if self.error is not None:
            raise self.error
        return await super().stats()

    async def health(self) -> StorageHealth:
        if self.error is not None:
            return StorageHealth(False, "qdrant", 0, 384, "the engine is gone from /secret/folder")
        return await super().health()


@pytest.fixture
def storage() -> BaseStorage:
    return Troubled()


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (StorageUnavailableError("The engine died."), 503, "1"),
        (StorageBusyError("Maintenance.", retry_after=4.2), 503, "5"),
        (CircuitOpenError(retry_at=RETRY_AT, retry_after=59.5), 503, "60"),
        (StorageFullError("No space is left."), 507, None),
        (EmbeddingError("The model failed."), 503, "1"),
        (ModelChangedError(old_model="a", new_model="b", old_dimensions=1, new_dimensions=2), 503, "1"),
        (StorageError("Something else."), 500, None),
    ],
)
async def test_each_kind_of_trouble_has_its_status(
    client: httpx.AsyncClient, storage: Troubled, error: MemoryServiceError, status: int, retry_after: str | None
) -> None:
    storage.error = error
    answer = await client.get("/api/tags")
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == retry_after
    assert answer.json() == {"detail": error.message, "error": {"code": error.code, "message": error.message}}


async def test_the_open_breaker_speaks_the_guides_words(client: httpx.AsyncClient, storage: Troubled) -> None:
    storage.error = CircuitOpenError(retry_at=RETRY_AT, retry_after=60)
    answer = await client.get("/api/tags")
    assert answer.json()["detail"] == "Circuit breaker OPEN - Qdrant unavailable. Retry after 2025-01-16T10:35:00Z"


async def test_a_storage_that_keeps_failing_opens_the_breaker_and_metrics_tell(
    connect: Connect, storage: Troubled
) -> None:
    client = await connect(breaker_failures=2)
    storage.error = StorageUnavailableError("The engine died.")
    codes = [(await client.get("/api/tags")).json()["error"]["code"] for _ in range(3)]
    assert codes == ["storage_unavailable", "storage_unavailable", "circuit_open"]
    metrics = (await client.get("/metrics")).text
    assert 'mcp_memory_circuit_breaker_state{operations="reads"} 2.0' in metrics
    assert 'mcp_memory_storage_failures_total{code="storage_unavailable",operation="tags"}' in metrics


async def test_degraded_health_is_503_and_keeps_paths_to_itself(client: httpx.AsyncClient, storage: Troubled) -> None:
    storage.error = StorageUnavailableError("gone")
    answer = await client.get("/api/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "degraded"
    assert answer.json()["storage"]["status"] == "unhealthy"
    ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert "/secret" not in answer.text + ready.text
    assert (await client.get("/livez")).status_code == 200
    detailed = (await client.get("/api/health/detailed")).json()
    assert detailed["status"] == "degraded"
    assert "/secret/folder" in detailed["storage"]["message"]


async def test_an_unforeseen_error_is_500_with_the_id_that_its_log_has(
    client: httpx.AsyncClient, storage: Troubled
) -> None:
    storage.error = ZeroDivisionError("internal detail")
    answer = await client.get("/api/tags", headers={"X-Request-ID": "abc"})
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "abc" in answer.json()["error"]["message"]
    assert "internal detail" not in answer.text
    assert answer.headers["x-request-id"] == "abc"


async def test_metrics_ask_the_storage_at_most_every_15_seconds(client: httpx.AsyncClient, storage: Troubled) -> None:
    for _ in range(5):
        assert "mcp_memory_memories 0.0" in (await client.get("/metrics")).text
    assert storage.counted == 1


async def test_metrics_are_there_without_counts_when_the_storage_is_not(
    client: httpx.AsyncClient, storage: Troubled
) -> None:
    storage.error = StorageUnavailableError("gone")
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert "mcp_memory_memories" not in answer.text
    assert "mcp_memory_build_info" in answer.text


async def test_route_labels_are_templates(client: httpx.AsyncClient) -> None:
    await client.get("/api/memories/" + "b" * 64)
    await client.get("/wp-login.php")
    await client.request("BREW", "/api/tags")
    text = (await client.get("/metrics")).text
    assert 'route="/api/memories/{content_hash}"' in text
    assert 'route="unmatched"' in text
    assert 'method="OTHER"' in text
    assert "wp-login" not in text
    assert "BREW" not in text
