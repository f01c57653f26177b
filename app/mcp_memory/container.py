"""The composition root: builds storage, embedder and use cases from the settings, and owns their start and end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from mcp_memory.config import Backend, Settings
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.embedding.base import Embedder
from mcp_memory.embedding_settings import embedding_options
from mcp_memory.measured import MeasuredEmbedder, MeasuredStorage, measured
from mcp_memory.memories.context import MemoriesOptions
from mcp_memory.memories.service import Memories
from mcp_memory.metrics import StoreGauges, observe_embedding_batch
from mcp_memory.storage.base import BaseStorage
from mcp_memory.storage.breaker import BreakerOptions, guarded
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_server.options import ServerOptions
from mcp_memory.zones import system_zone, zone_of

REQUESTS_AN_OPERATION = 3
"""A hybrid search: candidates, the scores that are missing, the winners' payload."""


@dataclass(slots=True)
class Container:
    """Everything that a serving process shares. Made by `open_container`, or from given parts by `assemble`."""

    settings: Settings
    memories: Memories
    embedder: Embedder
    gauges: StoreGauges
    folder: Path | None
    """Where the memories lie on this machine."""
    _measured: MeasuredStorage
    _embedder: Embedder
    """Without the stopwatch."""
    _build_storage: Callable[[], BaseStorage]
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def assemble(
        cls,
        settings: Settings,
        embedder: Embedder,
        build_storage: Callable[[], BaseStorage],
        *,
        folder: Path | None = None,
    ) -> Container:
        """Put the parts together; nothing is opened."""
        storage = measured(build_storage())
        protected = guarded(storage, breaker_options(settings))
        timed = MeasuredEmbedder(embedder)

        async def counts() -> tuple[int, int]:
            stats = await protected.stats()
            return stats.vectors_count, stats.indexed_vectors_count

        return cls(
            settings=settings,
            memories=Memories(protected, timed, memories_options(settings), clock=now),
            embedder=timed,
            gauges=StoreGauges(counts, lambda: {name: state.level for name, state in protected.states.items()}),
            folder=folder,
            _measured=storage,
            _embedder=embedder,
            _build_storage=build_storage,
        )

    async def open(self) -> None:
        """Open the storage. Raises what `BaseStorage.initialize` raises, and EmbeddingError where an endpoint fails."""
        from mcp_memory.migration.same_vectors import open_proven  # noqa: PLC0415  (numpy)

        self._measured.inner = await open_proven(self._measured.inner, self._build_storage, self._embedder)

    async def close(self) -> None:
        """Finish what was accepted, then let go of storage and model."""
        await self._measured.close()
        await self.embedder.close()

    async def suspend(self) -> None:
        """Close the storage while another process has the folder for itself; `resume` opens it again."""
        await self._measured.close()

    async def resume(self) -> None:
        """Open the storage again. Raises what `open` raises."""
        self._measured.inner = self._build_storage()
        await self.open()


@asynccontextmanager
async def open_container(settings: Settings) -> AsyncIterator[Container]:
    """Model and storage, ready to answer; closed in order at the end.

    Raises ConfigurationError for settings that can't work, and StorageError (ModelChangedError, ...) where the stored
    memories don't fit them.
    """
    container = await _build(settings)
    try:
        await container.open()
        yield container
    finally:
        await container.close()


def now() -> float:
    """UTC seconds to the microsecond: what storages keep, so that the answer to a write is what is read later."""
    return round(time.time(), 6)


def memories_options(settings: Settings) -> MemoriesOptions:
    return MemoriesOptions(
        max_content_length=settings.max_content_length,
        semantic_dedup_enabled=settings.semantic_dedup_enabled,
        semantic_dedup_threshold=settings.semantic_dedup_threshold,
        agent_id=settings.agent_id,
        zone=zone_of(settings.timezone) if settings.timezone is not None else system_zone(),
    )


async def _build(settings: Settings) -> Container:
    from mcp_memory.embedding.select import build_embedder  # noqa: PLC0415  (seconds of imports)

    embedder = await asyncio.to_thread(build_embedder, embedding_options(settings), observe=observe_embedding_batch)
    return Container.assemble(
        settings,
        embedder,
        lambda: build_storage(settings, embedder.identity),
        folder=storage_folder(settings),
    )


def breaker_options(settings: Settings) -> BreakerOptions:
    """A request to a Qdrant server has a deadline of its own, and its turn another as long; an operation is a few of them, one
    after another. Waiting for turns is overload, which the connection names: this time-out must not come before it, as it counts
    against Qdrant."""
    timeout = REQUESTS_AN_OPERATION * 2 * settings.qdrant_seconds if settings.qdrant_urls else None
    return BreakerOptions(failures=settings.breaker_failures, seconds=settings.open_seconds, timeout=timeout)


def storage_folder(settings: Settings) -> Path | None:
    """Where the memories lie on this machine; None where a Qdrant server keeps them."""
    if settings.backend is Backend.SQLITE_VEC:
        return settings.sqlite_file.absolute().parent
    return None if settings.qdrant_urls else settings.qdrant_path


def build_storage(settings: Settings, model: ModelIdentity) -> BaseStorage:
    """The backend that the settings name, not opened yet."""
    if settings.backend is Backend.SQLITE_VEC:
        from mcp_memory.storage.sqlite_vec.backend import SqliteVecStorage  # noqa: PLC0415
        from mcp_memory.storage.sqlite_vec.options import SqliteVecOptions  # noqa: PLC0415

        return SqliteVecStorage(SqliteVecOptions(settings.sqlite_file, model))
    if settings.qdrant_urls:
        from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage  # noqa: PLC0415

        return QdrantServerStorage(server_options(settings, model))
    from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage  # noqa: PLC0415

    return QdrantEmbeddedStorage(embedded_options(settings, model))


def embedded_options(settings: Settings, model: ModelIdentity) -> EmbeddedOptions:
    """What the settings say about an embedded store."""
    return EmbeddedOptions(
        path=settings.qdrant_path,
        model=model,
        collection=settings.collection,
        quantization=settings.quantization_enabled,
        on_disk_payload=settings.on_disk_payload,
        disk_reserve_bytes=settings.disk_reserve_bytes,
        graph_threshold=settings.graph_threshold,
    )


def server_options(settings: Settings, model: ModelIdentity) -> ServerOptions:
    """What the settings say about a Qdrant server or cluster."""
    return ServerOptions(
        urls=settings.qdrant_urls,
        model=model,
        alias=settings.collection,
        api_key=_secret(settings.qdrant_api_key),
        ca_file=settings.qdrant_ca_file,
        prefer_grpc=settings.qdrant_prefer_grpc,
        grpc_port=settings.qdrant_grpc_port,
        timeout=settings.qdrant_seconds,
        quantization=settings.quantization_enabled,
        quantization_kind=settings.quantization_kind.value,
        on_disk_payload=settings.on_disk_payload,
        shard_number=settings.qdrant_shard_number,
        replication_factor=settings.qdrant_replication_factor,
        write_consistency_factor=settings.qdrant_write_consistency_factor,
        read_consistency=settings.qdrant_read_consistency,
        write_ordering=settings.qdrant_write_ordering.value,
    )


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None
