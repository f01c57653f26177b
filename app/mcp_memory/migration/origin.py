"""Where a migration's memories come from, as the core sees it: an asynchronous stream of batches behind a cursor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

from mcp_memory.domain.model import ModelIdentity
from mcp_memory.domain.query import EVERYTHING, FacetField
from mcp_memory.migration.sources.base import (
    Cursor,
    Source,
    SourceBatch,
    SourceKind,
    SourceMemory,
    SourceReport,
)
from mcp_memory.storage.base import BaseStorage

SOURCE_NAMES = {
    SourceKind.SQLITE: "SQLite",
    SourceKind.JSON_EXPORT: "the JSON export",
    SourceKind.QDRANT_LOCAL: "the qdrant-client folder",
}


def title(report: SourceReport) -> str:
    """In a line for people: "SQLite", "Qdrant"."""
    if report.any_vectors:
        return "mcp-server-qdrant"
    return SOURCE_NAMES.get(report.kind, report.schema)


class Origin(Protocol):
    """Open while the migration runs; opened and closed by the caller."""

    @property
    def address(self) -> str:
        """A path, or a URL without credentials."""

    async def inspect(self) -> SourceReport: ...

    def batches(self, after: Cursor | None, *, size: int, until: Cursor | None = None) -> AsyncGenerator[SourceBatch]:
        """Behind `after` (None: from the start), up to the batch that reaches `until`."""


class FileOrigin:
    """A Source, read in a thread, one batch ahead of what is asked for."""

    def __init__(self, source: Source) -> None:
        self.source = source

    @property
    def address(self) -> str:
        return str(self.source.path)

    async def inspect(self) -> SourceReport:
        return await asyncio.to_thread(self.source.inspect)

    async def batches(
        self, after: Cursor | None, *, size: int, until: Cursor | None = None
    ) -> AsyncGenerator[SourceBatch]:
        start = after if isinstance(after, int) else 0
        last = until if isinstance(until, int) else None
        batches = self.source.read(after=start, batch_size=size)
        coming = asyncio.create_task(asyncio.to_thread(next, batches, None))
        try:
            while (batch := await coming) is not None:
                coming = asyncio.create_task(asyncio.to_thread(next, batches, None))
                yield batch
                if last is not None and int(batch.cursor) >= last:
                    return
        finally:
            # The thread must be done with the source before it can be closed.
            await asyncio.wait([coming])
            if not coming.cancelled():
                coming.exception()


class StorageOrigin:
    """An open storage; the cursor is a point's id."""

    def __init__(self, storage: BaseStorage, address: str, title: str, model: ModelIdentity) -> None:
        self.storage = storage
        self.address = address
        self._title = title
        self._model = model

    async def inspect(self) -> SourceReport:
        total = await self.storage.count(EVERYTHING)
        return SourceReport(
            kind=SourceKind.STORAGE,
            path=self.address,
            schema=self._title,
            columns=(),
            dimensions=self._model.dimensions,
            distance="cosine",
            model=self._model.name,
            total=total,
            live=total,
            tombstones=0,
            superseded=0,
            without_embedding=0,
            stores=await self.storage.facet(FacetField.STORE, EVERYTHING),
            fingerprint=None,
        )

    async def batches(
        self, after: Cursor | None, *, size: int, until: Cursor | None = None
    ) -> AsyncGenerator[SourceBatch]:
        start = after if isinstance(after, str) else None
        async for batch in self.storage.iterate(batch_size=size, after_id=start):
            items = tuple(SourceMemory(item.memory, item.vector, item.memory.id) for item in batch)
            yield SourceBatch(items, (), items[-1].cursor)
            if isinstance(until, str) and str(items[-1].cursor) >= until:
                return
