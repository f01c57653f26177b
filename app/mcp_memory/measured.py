"""Storage and embedder with a stopwatch: the same contracts, each call timed for /metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_memory.domain.memory import EmbeddedMemory, Memory, MemoryChanges, ScoredMemory
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.domain.query import EVERYTHING, Cursor, FacetField, MemoryFilter, Page, SearchQuery
from mcp_memory.embedding.base import Embedder, Reader
from mcp_memory.metrics import EMBEDDING_SECONDS, storage_operation
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

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MeasuredStorage(BaseStorage):
    """Times every operation of the storage inside it."""

    def __init__(self, inner: BaseStorage) -> None:
        self.inner = inner

    async def initialize(self) -> None:
        await self.inner.initialize()

    async def close(self) -> None:
        await self.inner.close()

    async def upsert(
        self, memories: Sequence[EmbeddedMemory], *, mode: UpsertMode = UpsertMode.REPLACE
    ) -> list[UpsertOutcome]:
        async with storage_operation("upsert"):
            return await self.inner.upsert(memories, mode=mode)

    async def get(self, hashes: Sequence[str]) -> dict[str, Memory]:
        async with storage_operation("get"):
            return await self.inner.get(hashes)

    async def get_embedded(self, hashes: Sequence[str]) -> dict[str, EmbeddedMemory]:
        async with storage_operation("get_embedded"):
            return await self.inner.get_embedded(hashes)

    async def delete(self, hashes: Sequence[str]) -> list[str]:
        async with storage_operation("delete"):
            return await self.inner.delete(hashes)

    async def delete_matching(self, where: MemoryFilter) -> int:
        async with storage_operation("delete_matching"):
            return await self.inner.delete_matching(where)

    async def update(self, content_hash: str, changes: MemoryChanges) -> Memory:
        async with storage_operation("update"):
            return await self.inner.update(content_hash, changes)

    async def search(self, query: SearchQuery) -> list[ScoredMemory]:
        async with storage_operation("search"):
            return await self.inner.search(query)

    async def page(self, where: MemoryFilter, *, limit: int, cursor: Cursor | None = None, offset: int = 0) -> Page:
        async with storage_operation("page"):
            return await self.inner.page(where, limit=limit, cursor=cursor, offset=offset)

    async def count(self, where: MemoryFilter) -> int:
        async with storage_operation("count"):
            return await self.inner.count(where)

    async def tags(self, where: MemoryFilter) -> dict[str, int]:
        async with storage_operation("tags"):
            return await self.inner.tags(where)

    async def facet(self, field: FacetField, where: MemoryFilter) -> dict[str, int]:
        async with storage_operation("facet"):
            return await self.inner.facet(field, where)

    async def stats(self) -> StorageStats:
        async with storage_operation("stats"):
            return await self.inner.stats()

    async def health(self) -> StorageHealth:
        async with storage_operation("health"):
            return await self.inner.health()

    def iterate(
        self, where: MemoryFilter = EVERYTHING, *, batch_size: int = 256, after_id: str | None = None
    ) -> AsyncIterator[list[EmbeddedMemory]]:
        return self.inner.iterate(where, batch_size=batch_size, after_id=after_id)

    def versions(self, *, batch_size: int = 1_000) -> AsyncIterator[list[Version]]:
        return self.inner.versions(batch_size=batch_size)

    async def optimize(self) -> OptimizeReport:
        async with storage_operation("optimize"):
            return await self.inner.optimize()


class MeasuredLiveStorage(MeasuredStorage):
    """Times what is done to a whole collection, too."""

    async def set_quantization(self, kind: str | None) -> None:
        async with storage_operation("set_quantization"):
            await self._live.set_quantization(kind)

    async def backup(self, folder: Path) -> BackupReport:
        async with storage_operation("backup"):
            return await self._live.backup(folder)

    async def restore(self, folder: Path) -> BackupReport:
        async with storage_operation("restore"):
            return await self._live.restore(folder)

    @property
    def _live(self) -> LiveStorage:
        assert isinstance(self.inner, LiveStorage)  # noqa: S101  (`measured` has looked)
        return self.inner


def measured(inner: BaseStorage) -> MeasuredStorage:
    """The storage with a stopwatch. What it can do beyond BaseStorage, it still can, and nothing else."""
    return MeasuredLiveStorage(inner) if isinstance(inner, LiveStorage) else MeasuredStorage(inner)


class MeasuredEmbedder:
    """Times every call of the embedder inside it."""

    def __init__(self, inner: Embedder) -> None:
        self.inner = inner

    @property
    def identity(self) -> ModelIdentity:
        return self.inner.identity

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        with EMBEDDING_SECONDS.labels("query").time():
            return await self.inner.embed_query(text)

    async def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with EMBEDDING_SECONDS.labels("document").time():
            return await self.inner.embed_documents(texts)

    def reads(self, text: str) -> bool:
        return not isinstance(self.inner, Reader) or self.inner.reads(text)

    async def close(self) -> None:
        await self.inner.close()
