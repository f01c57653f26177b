"""QdrantEmbeddedStorage: the storage contract as requests to the engine process."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np

from mcp_memory.domain.errors import (
    DimensionMismatchError,
    InvalidInputError,
    MemoryNotFoundError,
    MemoryServiceError,
)
from mcp_memory.domain.memory import (
    EmbeddedMemory,
    Memory,
    MemoryChanges,
    ScoredMemory,
    point_id,
    similarity_score,
)
from mcp_memory.domain.query import EVERYTHING, Cursor, FacetField, MemoryFilter, Page, SearchQuery
from mcp_memory.storage.base import (
    BaseStorage,
    OptimizeReport,
    StorageHealth,
    StorageStats,
    UpsertMode,
    UpsertOutcome,
    Version,
)
from mcp_memory.storage.bm25 import Bm25
from mcp_memory.storage.payload import from_payload, to_payload
from mcp_memory.storage.qdrant_embedded import protocol
from mcp_memory.storage.qdrant_embedded.client import EngineClient
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_embedded.protocol import Record

if TYPE_CHECKING:
    from mcp_memory.domain.memory import Vector

BATCH = 256
BATCH_CHARACTERS = 4_000_000
"""A request holds at most this much text and this many memories, so that no frame grows large."""
VERSIONS = 500
"""Read at a time: some milliseconds of the engine's thread."""
INLINE = 8
"""Of more memories than these the words are counted here, in a thread, while the engine stores the ones before."""
PIPELINED = 4
"""Batches of one call under way at a time: the engine works on one while the next arrives."""


class QdrantEmbeddedStorage(BaseStorage):
    """Memories in a folder, through the engine process that holds it; several services may share one folder."""

    def __init__(self, options: EmbeddedOptions) -> None:
        self._options = options
        self._client = EngineClient(options)

    async def initialize(self) -> None:
        folder = StorageFolder(self._options.path)
        folder.look()
        folder.prepare()
        await self._client.connect()

    async def close(self) -> None:
        await self._client.close()

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[int]:
        """The files stand still, and hold so many memories: for a copy of them. Reads go on, writes wait.

        Raises StorageUnavailableError at the end where they didn't.
        """
        async with self._client.paused() as still:
            yield still.count

    # Write

    async def upsert(
        self, memories: Sequence[EmbeddedMemory], *, mode: UpsertMode = UpsertMode.REPLACE
    ) -> list[UpsertOutcome]:
        ids = [item.memory.id for item in memories]
        first: dict[str, Record] = {}
        for id_, item in zip(ids, memories, strict=True):
            vector = self._vector_bytes(item.vector)
            if id_ not in first:
                first[id_] = Record(id_, to_payload(item.memory), vector)
        if len(first) > INLINE:
            await asyncio.to_thread(_count_words, first.values())
        gate = asyncio.Semaphore(PIPELINED)

        async def send(records: list[Record]) -> list[bool]:
            async with gate:
                request = protocol.Upsert(
                    records, insert_only=mode is UpsertMode.INSERT, keep_revisions=mode is UpsertMode.COPY
                )
                return (await self._client.ask(request, protocol.Existed)).flags

        batches = _batches(list(first.values()))
        flags = [flag for part in await asyncio.gather(*map(send, batches)) for flag in part]
        existed = dict(zip(first, flags, strict=True))
        outcomes = []
        for id_ in ids:
            outcomes.append(UpsertOutcome.EXISTED if existed[id_] else UpsertOutcome.STORED)
            existed[id_] = True
        return outcomes

    def _vector_bytes(self, vector: Vector) -> bytes:
        dimensions = self._options.model.dimensions
        if vector.shape != (dimensions,):
            raise DimensionMismatchError(expected=dimensions, got=vector.size)
        return np.asarray(vector, dtype="<f4").tobytes()

    async def delete(self, hashes: Sequence[str]) -> list[str]:
        wanted = {point_id(hash_): hash_ for hash_ in hashes}
        there: list[str] = []
        for ids in _slices(list(wanted), BATCH):
            answer = await self._client.ask(protocol.Delete(ids), protocol.Existed)
            there += [wanted[id_] for id_, flag in zip(ids, answer.flags, strict=True) if flag]
        return there

    async def delete_matching(self, where: MemoryFilter) -> int:
        if where.empty:
            raise InvalidInputError("Deleting needs at least one condition; an empty filter would delete everything.")
        return (await self._client.ask(protocol.DeleteMatching(where), protocol.Number, seconds=3600.0)).value

    async def update(self, content_hash: str, changes: MemoryChanges) -> Memory:
        request = protocol.Update(
            point_id(content_hash),
            tags=None if changes.tags is None else list(changes.tags),
            memory_type=changes.memory_type,
            metadata=None if changes.metadata is None else dict(changes.metadata),
            updated_at=changes.updated_at,
            add_tags=list(changes.add_tags),
            remove_tags=list(changes.remove_tags),
            store=changes.store,
        )
        records = (await self._client.ask(request, protocol.Records)).records
        if not records:
            raise MemoryNotFoundError(content_hash)
        return from_payload(records[0].payload)

    # Read

    async def get(self, hashes: Sequence[str]) -> dict[str, Memory]:
        return {record.payload["content_hash"]: from_payload(record.payload) for record in await self._fetch(hashes)}

    async def get_embedded(self, hashes: Sequence[str]) -> dict[str, EmbeddedMemory]:
        found = _embedded(await self._fetch(hashes, vectors=True))
        return {item.memory.content_hash: item for item in found}

    async def _fetch(self, hashes: Sequence[str], *, vectors: bool = False) -> list[Record]:
        records: list[Record] = []
        for ids in _slices(list(dict.fromkeys(map(point_id, hashes))), BATCH):
            records += (await self._client.ask(protocol.Get(ids, vectors), protocol.Records)).records
        return records

    async def search(self, query: SearchQuery) -> list[ScoredMemory]:
        request = protocol.Search(
            query.mode,
            query.limit,
            query.where,
            text=query.text,
            vector=None if query.vector is None else self._vector_bytes(query.vector),
            min_similarity=query.min_similarity,
            exclude=None if query.exclude is None else point_id(query.exclude),
            exact_scan=query.exact_scan,
        )
        hits = (await self._client.ask(request, protocol.Hits)).hits
        return [
            ScoredMemory(
                from_payload(hit.payload), hit.score, None if hit.cosine is None else similarity_score(hit.cosine)
            )
            for hit in hits
        ]

    async def page(self, where: MemoryFilter, *, limit: int, cursor: Cursor | None = None, offset: int = 0) -> Page:
        answer = await self._client.ask(protocol.ListPage(where, limit, cursor, offset), protocol.Records)
        memories = [from_payload(record.payload) for record in answer.records]
        last = Cursor(memories[-1].created_at, memories[-1].id) if memories and answer.more else None
        return Page(memories, last)

    async def count(self, where: MemoryFilter) -> int:
        return (await self._client.ask(protocol.Count(where), protocol.Number)).value

    async def tags(self, where: MemoryFilter) -> dict[str, int]:
        return await self.facet(FacetField.TAGS, where)

    async def facet(self, field: FacetField, where: MemoryFilter) -> dict[str, int]:
        counts = (await self._client.ask(protocol.Facet(field, where), protocol.Counts)).counts
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    async def iterate(
        self, where: MemoryFilter = EVERYTHING, *, batch_size: int = 256, after_id: str | None = None
    ) -> AsyncIterator[list[EmbeddedMemory]]:
        while True:
            request = protocol.Scroll(where, min(batch_size, BATCH), after_id)
            records = (await self._client.ask(request, protocol.Records)).records
            if not records:
                return
            yield _embedded(records)
            after_id = records[-1].id

    async def versions(self, *, batch_size: int = 1_000) -> AsyncIterator[list[Version]]:
        after_id: str | None = None
        while True:
            request = protocol.Scroll(
                EVERYTHING, min(batch_size, VERSIONS), after_id, only=["content_hash", "revision"]
            )
            records = (await self._client.ask(request, protocol.Records)).records
            if not records:
                return
            yield [Version(record.id, record.payload["content_hash"], record.payload["revision"]) for record in records]
            after_id = records[-1].id

    # State

    async def stats(self) -> StorageStats:
        figures = await self._client.ask(protocol.Stats(), protocol.Figures)
        return StorageStats(
            vectors_count=figures.count,
            indexed_vectors_count=figures.indexed,
            disk_data_size=figures.disk,
            ram_data_size=figures.ram,
            details=figures.details,
        )

    async def health(self) -> StorageHealth:
        dimensions = self._options.model.dimensions
        try:
            await self._client.ask(protocol.Ping(), protocol.Done, seconds=5.0)
        except MemoryServiceError as error:
            return StorageHealth(
                healthy=False, backend="qdrant", collections=0, vector_dimensions=dimensions, message=error.message
            )
        return StorageHealth(healthy=True, backend="qdrant", collections=1, vector_dimensions=dimensions)

    async def optimize(self) -> OptimizeReport:
        started = time.monotonic()
        done = await self._client.ask(protocol.BuildGeneration(), protocol.Done, seconds=24 * 3600.0)
        return OptimizeReport(changed=done.changed, message=done.message, seconds=time.monotonic() - started)


def _count_words(records: Iterable[Record]) -> None:
    bm25 = Bm25()
    for record in records:
        terms, weights = bm25.document(record.payload["content"])
        record.terms, record.weights = array("I", terms).tobytes(), array("f", weights).tobytes()


def _embedded(records: Sequence[Record]) -> list[EmbeddedMemory]:
    """Originals are kept as float16, which leaves their length a little short of 1."""
    if not records:
        return []
    stored = np.frombuffer(b"".join([record.vector for record in records]), dtype="<f4").astype(np.float32)
    rows = stored.reshape(len(records), -1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    np.divide(rows, lengths, out=rows, where=lengths > 0)
    return [EmbeddedMemory(from_payload(record.payload), row) for record, row in zip(records, rows, strict=True)]


def _slices(items: list[str], size: int) -> list[list[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _batches(records: list[Record]) -> list[list[Record]]:
    batches: list[list[Record]] = []
    room = 0
    for record in records:
        length = len(record.payload["content"])
        if not batches or len(batches[-1]) >= BATCH or length > room:
            batches.append([])
            room = BATCH_CHARACTERS
        batches[-1].append(record)
        room -= length
    return batches
