"""SqliteVecStorage: the storage contract on one SQLite file, in one worker thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mcp_memory.domain.errors import InvalidInputError, MemoryServiceError, StorageUnavailableError
from mcp_memory.domain.memory import EmbeddedMemory, Memory, MemoryChanges, ScoredMemory
from mcp_memory.domain.query import EVERYTHING, Cursor, FacetField, MemoryFilter, Page, SearchQuery
from mcp_memory.storage.base import (
    BaseStorage,
    OptimizeReport,
    StorageHealth,
    StorageStats,
    UpsertMode,
    UpsertOutcome,
)
from mcp_memory.storage.bm25 import Bm25
from mcp_memory.storage.sqlite_vec.database import Database
from mcp_memory.storage.sqlite_vec.options import SqliteVecOptions
from mcp_memory.storage.sqlite_vec.search import search

T = TypeVar("T")


class SqliteVecStorage(BaseStorage):
    """A database of the original service, or a new one that it could open. Several processes may share it, if all are ours.

    What the original writes meanwhile is seen when the database is opened again.
    """

    def __init__(self, options: SqliteVecOptions) -> None:
        self._options = options
        self._thread: ThreadPoolExecutor | None = None
        self._database: Database | None = None
        self._bm25 = Bm25()

    async def initialize(self) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-vec")
        try:
            self._database = await asyncio.get_running_loop().run_in_executor(
                self._thread, Database.open, self._options
            )
        except BaseException:
            self._end_thread()
            raise

    async def close(self) -> None:
        database, self._database = self._database, None
        if database is not None and self._thread is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, database.close)
        self._end_thread()

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None

    async def _run(self, work: Callable[[Database], T]) -> T:
        if self._database is None or self._thread is None:
            raise StorageUnavailableError(f"The database {self._options.path} is closed.")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._database)

    # Write

    async def upsert(
        self, memories: Sequence[EmbeddedMemory], *, mode: UpsertMode = UpsertMode.REPLACE
    ) -> list[UpsertOutcome]:
        return await self._run(lambda database: database.upsert(memories, mode)) if memories else []

    async def delete(self, hashes: Sequence[str]) -> list[str]:
        return await self._run(lambda database: database.delete(hashes)) if hashes else []

    async def delete_matching(self, where: MemoryFilter) -> int:
        if where.empty:
            raise InvalidInputError("Deleting needs at least one condition; an empty filter would delete everything.")
        return await self._run(lambda database: database.delete_matching(where))

    async def update(self, content_hash: str, changes: MemoryChanges) -> Memory:
        return await self._run(lambda database: database.update(content_hash, changes))

    # Read

    async def get(self, hashes: Sequence[str]) -> dict[str, Memory]:
        return await self._run(lambda database: database.get(hashes))

    async def get_embedded(self, hashes: Sequence[str]) -> dict[str, EmbeddedMemory]:
        return await self._run(lambda database: database.get_embedded(hashes))

    async def search(self, query: SearchQuery) -> list[ScoredMemory]:
        return await self._run(lambda database: search(database, query, self._bm25))

    async def page(self, where: MemoryFilter, *, limit: int, cursor: Cursor | None = None, offset: int = 0) -> Page:
        return await self._run(lambda database: database.page(where, limit, cursor, offset))

    async def count(self, where: MemoryFilter) -> int:
        return await self._run(lambda database: database.count(where))

    async def tags(self, where: MemoryFilter) -> dict[str, int]:
        return await self.facet(FacetField.TAGS, where)

    async def facet(self, field: FacetField, where: MemoryFilter) -> dict[str, int]:
        return await self._run(lambda database: database.facet(field, where))

    async def iterate(
        self, where: MemoryFilter = EVERYTHING, *, batch_size: int = 256, after_id: str | None = None
    ) -> AsyncIterator[list[EmbeddedMemory]]:
        """Memories whose embedding the original still owes are left out: `stats` tells how many those are."""
        while True:
            batch, after_id = await self._scroll(where, batch_size, after_id)
            if batch:
                yield batch
            if after_id is None:
                return

    async def _scroll(
        self, where: MemoryFilter, limit: int, after_id: str | None
    ) -> tuple[list[EmbeddedMemory], str | None]:
        return await self._run(lambda database: database.scroll(where, limit, after_id))

    # State

    async def stats(self) -> StorageStats:
        return await self._run(Database.stats)

    async def health(self) -> StorageHealth:
        dimensions = self._options.model.dimensions
        try:
            await self._run(Database.ping)
        except MemoryServiceError as error:
            return StorageHealth(
                healthy=False, backend="sqlite_vec", collections=0, vector_dimensions=dimensions, message=error.message
            )
        return StorageHealth(healthy=True, backend="sqlite_vec", collections=1, vector_dimensions=dimensions)

    async def optimize(self) -> OptimizeReport:
        return await self._run(Database.optimize)
