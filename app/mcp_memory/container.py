"""The composition root: builds storage, embedder and use cases from the settings, and owns their start and end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mcp_memory.config import Backend, Settings
from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.embedding.base import Embedder
from mcp_memory.measured import MeasuredEmbedder, MeasuredStorage
from mcp_memory.memories.context import MemoriesOptions
from mcp_memory.memories.service import Memories
from mcp_memory.metrics import StoreGauges
from mcp_memory.storage.base import BaseStorage


@dataclass(slots=True)
class Container:
    """Everything that a serving process shares. Made by `open_container`, or from given parts by `assemble`."""

    settings: Settings
    memories: Memories
    embedder: Embedder
    gauges: StoreGauges
    folder: Path | None
    """Where an embedded store lies."""
    _measured: MeasuredStorage
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
        measured = MeasuredStorage(build_storage())
        timed = MeasuredEmbedder(embedder)

        async def counts() -> tuple[int, int]:
            stats = await measured.stats()
            return stats.vectors_count, stats.indexed_vectors_count

        return cls(
            settings=settings,
            memories=Memories(measured, timed, memories_options(settings)),
            embedder=timed,
            gauges=StoreGauges(counts, lambda: 0),
            folder=folder,
            _measured=measured,
            _build_storage=build_storage,
        )

    async def open(self) -> None:
        """Open the storage. Raises what `BaseStorage.initialize` raises."""
        await self._measured.initialize()

    async def close(self) -> None:
        """Finish what was accepted, then let go of storage and model."""
        await self._measured.close()
        await self.embedder.close()

    async def suspend(self) -> None:
        """Close the storage while another process has the folder for itself; `resume` opens it again."""
        await self._measured.close()

    async def resume(self) -> None:
        """Open the storage again. Raises what `BaseStorage.initialize` raises."""
        self._measured.inner = self._build_storage()
        await self._measured.initialize()


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


def memories_options(settings: Settings) -> MemoriesOptions:
    return MemoriesOptions(
        max_content_length=settings.max_content_length,
        semantic_dedup_enabled=settings.semantic_dedup_enabled,
        semantic_dedup_threshold=settings.semantic_dedup_threshold,
        zone=_zone(settings.timezone),
    )


def _zone(name: str | None) -> tzinfo:
    if name is None:
        import tzlocal  # noqa: PLC0415  (only where no zone is set)

        return tzlocal.get_localzone()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(
            f"MCP_TIMEZONE={name} is not a time zone of this machine: use a name such as Europe/Berlin, or UTC."
        ) from error


async def _build(settings: Settings) -> Container:
    raise ConfigurationError(f"The backend {settings.backend} can't be opened yet.")
