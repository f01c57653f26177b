"""Breakers and stopwatch around a storage: nothing that it can do is lost on the way, and nothing is added."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_memory.config import Settings
from mcp_memory.container import breaker_options
from mcp_memory.domain.errors import CircuitOpenError, StorageUnavailableError
from mcp_memory.measured import MeasuredStorage, measured
from mcp_memory.metrics import STORAGE_SECONDS
from mcp_memory.storage.base import BackupReport, BaseStorage, LiveStorage
from mcp_memory.storage.breaker import BreakerOptions, guarded
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.options import ServerOptions
from reference_storage import ReferenceStorage
from storage_samples import MODEL, memory

pytestmark = pytest.mark.anyio


class Live(ReferenceStorage):
    """The reference storage with what a Qdrant server can do besides."""

    kind: str | None = None
    error: Exception | None = None

    async def set_quantization(self, kind: str | None) -> None:
        if self.error is not None:
            raise self.error
        self.kind = kind

    async def backup(self, folder: Path) -> BackupReport:
        if self.error is not None:
            raise self.error
        return BackupReport(folder, 7, 70)

    async def restore(self, folder: Path) -> BackupReport:
        if self.error is not None:
            raise self.error
        return BackupReport(folder, 8, 80)


@pytest.mark.parametrize(
    ("storage", "live"),
    [
        (QdrantServerStorage(ServerOptions(("http://127.0.0.1:1",), MODEL)), True),
        (QdrantEmbeddedStorage(EmbeddedOptions(Path("nowhere"), MODEL)), False),
        (ReferenceStorage(32), False),
    ],
    ids=["server", "embedded", "reference"],
)
def test_a_wrapped_storage_says_by_its_type_what_it_can_do(storage: BaseStorage, live: bool) -> None:
    assert isinstance(storage, LiveStorage) is live
    assert isinstance(guarded(measured(storage)), LiveStorage) is live


async def test_work_on_a_whole_collection_passes_through_and_is_timed(tmp_path: Path) -> None:
    inner = Live(32)
    storage = guarded(measured(inner))
    assert isinstance(storage, LiveStorage)
    before = {name: _timed(name) for name in ("set_quantization", "backup", "restore")}
    await storage.set_quantization("binary")
    assert inner.kind == "binary"
    assert (await storage.backup(tmp_path)).memories == 7
    assert (await storage.restore(tmp_path)).memories == 8
    assert {name: _timed(name) - count for name, count in before.items()} == dict.fromkeys(before, 1.0)


async def test_an_open_breaker_refuses_work_on_a_whole_collection_too(tmp_path: Path) -> None:
    inner = Live(32)
    storage = guarded(measured(inner), BreakerOptions(failures=2))
    assert isinstance(storage, LiveStorage)
    inner.error = StorageUnavailableError("gone")
    for _ in range(2):
        with pytest.raises(StorageUnavailableError, match="gone"):
            await storage.backup(tmp_path)
    inner.error = None
    with pytest.raises(CircuitOpenError):
        await storage.set_quantization(None)
    with pytest.raises(CircuitOpenError):
        await storage.restore(tmp_path)


async def test_versions_pass_through() -> None:
    inner = ReferenceStorage(32)
    await inner.upsert([memory(f"text {number}") for number in range(5)])
    storage = guarded(measured(inner))
    assert [one async for batch in storage.versions(batch_size=2) for one in batch] == [
        one async for batch in inner.versions() for one in batch
    ]


def test_a_storage_that_is_opened_again_stays_wrapped_alike() -> None:
    wrapper = measured(Live(32))
    wrapper.inner = Live(32)
    assert isinstance(wrapper, MeasuredStorage)
    assert isinstance(wrapper, LiveStorage)


def test_an_operation_on_a_server_may_wait_for_every_request_and_its_turn() -> None:
    assert breaker_options(Settings(qdrant_url="http://db:6333", qdrant_timeout=4.0)).timeout == 3 * (4.0 + 4.0)
    assert breaker_options(Settings(qdrant_url=None)).timeout is None


def test_several_nodes_have_a_longer_deadline_and_a_shorter_break_than_one_place() -> None:
    one, three = Settings(qdrant_url="http://a:6333"), Settings(qdrant_url="http://a:6333,http://b:6333,http://c:6333")
    assert (one.qdrant_seconds, breaker_options(one).seconds) == (10.0, 60.0)
    assert (three.qdrant_seconds, breaker_options(three).seconds) == (20.0, 5.0)
    given = Settings(qdrant_url="http://a:6333,http://b:6333", qdrant_timeout=4.0, breaker_seconds=60.0)
    assert (given.qdrant_seconds, breaker_options(given).seconds) == (4.0, 60.0)
    assert breaker_options(Settings(qdrant_url=None)).seconds == 60.0


def _timed(operation: str) -> float:
    """How many calls of this operation the metrics have seen."""
    return sum(
        sample.value
        for metric in STORAGE_SECONDS.collect()
        for sample in metric.samples
        if sample.name.endswith("_count") and sample.labels.get("operation") == operation
    )
