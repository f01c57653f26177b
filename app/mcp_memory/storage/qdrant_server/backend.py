"""QdrantServerStorage: the storage contract on a Qdrant server or cluster."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from mcp_memory.domain.errors import StorageError, StorageFormatError, StorageUnavailableError
from mcp_memory.domain.memory import EmbeddedMemory, Memory, MemoryChanges, ScoredMemory, point_id
from mcp_memory.domain.query import EVERYTHING, Cursor, FacetField, MemoryFilter, Page, SearchQuery
from mcp_memory.storage.base import (
    BackupReport,
    BaseStorage,
    OptimizeReport,
    StorageHealth,
    StorageStats,
    UpsertMode,
    UpsertOutcome,
    Version,
)
from mcp_memory.storage.payload import from_payload
from mcp_memory.storage.qdrant_server import snapshots, upkeep
from mcp_memory.storage.qdrant_server.connection import Connection
from mcp_memory.storage.qdrant_server.failures import CollectionGoneError, VectorNameError
from mcp_memory.storage.qdrant_server.lifecycle import OpenCollection, open_collection
from mcp_memory.storage.qdrant_server.listing import read_page
from mcp_memory.storage.qdrant_server.options import ServerOptions
from mcp_memory.storage.qdrant_server.points import check_dimensions
from mcp_memory.storage.qdrant_server.reads import Reads
from mcp_memory.storage.qdrant_server.revisions import RevisionClock
from mcp_memory.storage.qdrant_server.search import Search
from mcp_memory.storage.qdrant_server.statistics import check_answering, read_stats
from mcp_memory.storage.qdrant_server.writes import Writes

log = logging.getLogger(__name__)
T = TypeVar("T")


class QdrantServerStorage(BaseStorage):
    """Memories behind one alias of a server. Several processes may use it at once.

    A server that can't be reached, or refuses the key, doesn't keep the service from starting: every operation tries to open
    the collection again and raises StorageUnavailableError until that works.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self._connection = Connection(options)
        self._reads = Reads(self._connection, options)
        self._search = Search(self._reads)
        self._revisions = RevisionClock()
        self._writes = Writes(self._reads, self._revisions)
        self._upkeep = upkeep.Upkeep(self._reads)
        self._collection: OpenCollection | None = None
        self._seen = False
        self._opening = asyncio.Lock()

    async def initialize(self) -> None:
        self._connection.open()
        try:
            await self._open()
        except StorageUnavailableError as error:
            log.error("storage isn't available yet, the next operation tries again: %s", error.message)

    async def close(self) -> None:
        await self._upkeep.close()
        self._collection = None
        await self._connection.close()

    async def _open(self) -> OpenCollection:
        """The collection behind the alias; opened once, however many ask."""
        async with self._opening:
            if self._collection is None:
                collection = await open_collection(self._connection, self.options, seen=self._seen)
                if self.options.managed:
                    collection = await self._upkeep.apply_quantization(collection)
                    self._upkeep.watch(collection, self._renew)
                for row in await self._reads.newest(EVERYTHING, limit=1, key="revision", keys=[]):
                    self._revisions.seen(int(row.value))
                self._collection, self._seen = collection, True
            return self._collection

    def _renew(self, collection: OpenCollection) -> None:
        """Upkeep has changed how the collection is to be searched."""
        self._collection = collection

    async def _run(self, operation: Callable[[OpenCollection], Awaitable[T]]) -> T:
        """The operation's answer. An alias that was repointed or is gone is read again, once.

        Raises ModelChangedError where another model's collection stands behind it now.
        """
        try:
            return await operation(self._collection or await self._open())
        except (CollectionGoneError, VectorNameError) as error:
            log.warning("collection '%s' isn't what it was, reading the alias again: %s", self.options.alias, error)
            self._collection = None
        collection = await self._open()
        try:
            return await operation(collection)
        except (CollectionGoneError, VectorNameError) as error:
            raise StorageFormatError(
                f"Collection '{collection.name}' behind '{self.options.alias}' lacks what it should have: {error}\n"
                "Restart the service to check it: memory doctor"
            ) from error

    async def upsert(
        self, memories: Sequence[EmbeddedMemory], *, mode: UpsertMode = UpsertMode.REPLACE
    ) -> list[UpsertOutcome]:
        check_dimensions(memories, self.options.model.dimensions)
        outcomes = await self._run(lambda _: self._writes.upsert(memories, mode))
        self._upkeep.written(len(memories))
        return outcomes

    async def get(self, hashes: Sequence[str]) -> dict[str, Memory]:
        ids = {point_id(hash_): hash_ for hash_ in hashes}
        found = await self._run(lambda _: self._reads.payloads(list(ids)))
        return {ids[id_]: from_payload(payload) for id_, payload in found.items()}

    async def get_embedded(self, hashes: Sequence[str]) -> dict[str, EmbeddedMemory]:
        ids = {point_id(hash_): hash_ for hash_ in hashes}
        found = await self._run(lambda _: self._reads.embedded(list(ids)))
        return {ids[id_]: item for id_, item in found.items()}

    async def delete(self, hashes: Sequence[str]) -> list[str]:
        return await self._run(lambda _: self._writes.delete(hashes))

    async def delete_matching(self, where: MemoryFilter) -> int:
        return await self._run(lambda _: self._writes.delete_matching(where))

    async def update(self, content_hash: str, changes: MemoryChanges) -> Memory:
        return await self._run(lambda _: self._writes.update(content_hash, changes))

    async def search(self, query: SearchQuery) -> list[ScoredMemory]:
        return await self._run(lambda collection: self._search.run(query, collection))

    async def page(self, where: MemoryFilter, *, limit: int, cursor: Cursor | None = None, offset: int = 0) -> Page:
        return await self._run(lambda _: read_page(self._reads, where, limit=limit, cursor=cursor, offset=offset))

    async def count(self, where: MemoryFilter) -> int:
        return await self._run(lambda _: self._reads.count(where))

    async def tags(self, where: MemoryFilter) -> dict[str, int]:
        return await self.facet(FacetField.TAGS, where)

    async def facet(self, field: FacetField, where: MemoryFilter) -> dict[str, int]:
        return await self._run(lambda _: self._reads.facet(field, where))

    async def stats(self) -> StorageStats:
        return await self._run(lambda collection: read_stats(self._reads, collection))

    async def health(self) -> StorageHealth:
        message: str | None = None
        try:
            await self._run(lambda _: check_answering(self._reads))
        except StorageError as error:
            message = error.message
        return StorageHealth(
            healthy=message is None,
            backend="qdrant",
            collections=0 if self._collection is None else 1,
            vector_dimensions=self.options.model.dimensions,
            message=message,
        )

    async def iterate(
        self, where: MemoryFilter = EVERYTHING, *, batch_size: int = 256, after_id: str | None = None
    ) -> AsyncIterator[list[EmbeddedMemory]]:
        after = after_id
        while True:
            position = after
            found = await self._run(lambda _, at=position: self._reads.batch(where, limit=batch_size, after=at))  # type: ignore[misc]
            if not found:
                return
            yield found
            after = found[-1].memory.id

    async def versions(self, *, batch_size: int = 1_000) -> AsyncIterator[list[Version]]:
        after: str | None = None
        keys = ["content_hash", "revision"]
        while True:
            position = after
            rows = await self._run(
                lambda _, at=position: self._reads.scroll(EVERYTHING, limit=batch_size, after=at, keys=keys)  # type: ignore[misc]
            )
            if not rows:
                return
            yield [Version(row.id, row.payload["content_hash"], int(row.payload.get("revision", 1))) for row in rows]
            after = rows[-1].id

    async def optimize(self) -> OptimizeReport:
        started = time.monotonic()
        changed, message = await self._run(self._upkeep.optimize)
        return OptimizeReport(changed=changed, message=message, seconds=time.monotonic() - started)

    async def set_quantization(self, kind: str | None) -> None:
        """Quantize what is stored, or stop doing so; searches go on meanwhile. See storage.base.Quantizable."""
        self._collection = await self._run(lambda collection: self._upkeep.quantize(collection, kind))

    async def backup(self, folder: Path) -> BackupReport:
        """See storage.base.SupportsBackup."""
        return await self._run(lambda collection: snapshots.back_up(self._reads, collection, folder))

    async def restore(self, folder: Path) -> BackupReport:
        """See storage.base.SupportsBackup. Works where the collection is gone, too; running services find the new one."""
        report = await snapshots.restore(self._reads, folder)
        self._collection = None
        await self._open()
        return report
