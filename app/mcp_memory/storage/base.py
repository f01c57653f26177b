"""BaseStorage: the contract that every backend keeps. One suite (tests/contract) runs against all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from mcp_memory.domain.memory import EmbeddedMemory, Memory, MemoryChanges, ScoredMemory
from mcp_memory.domain.query import EVERYTHING, Cursor, FacetField, MemoryFilter, Page, SearchQuery


class UpsertMode(StrEnum):
    """INSERT leaves a stored memory of the same hash as it is; REPLACE overwrites it; COPY does too and keeps the revision.

    COPY is for a collection that takes another's place: equal revisions then mean equal memories.
    """

    INSERT = "insert"
    REPLACE = "replace"
    COPY = "copy"


class UpsertOutcome(StrEnum):
    STORED = "stored"
    EXISTED = "existed"
    """The hash was there: kept as it was (INSERT) or overwritten (REPLACE)."""


class Version(NamedTuple):
    """Which state of a memory a collection holds."""

    id: str
    """The point's."""
    content_hash: str
    revision: int


@dataclass(frozen=True, slots=True)
class StorageStats:
    """Sizes of a collection. Counts are of memories (dense vectors); sizes are bytes.

    `indexed_vectors_count == vectors_count` when nothing is waiting to be indexed, which includes a complete flat scan.
    """

    vectors_count: int
    indexed_vectors_count: int
    disk_data_size: int
    ram_data_size: int
    details: Mapping[str, object] = field(default_factory=dict)
    """Backend-specific, JSON-serialisable: index kind, segments, quantization, generation, ..."""


@dataclass(frozen=True, slots=True)
class StorageHealth:
    """Whether a real, cheap query against the collection answers."""

    healthy: bool
    backend: str
    collections: int
    vector_dimensions: int
    message: str | None = None
    """Why it isn't healthy, and what to do."""


@dataclass(frozen=True, slots=True)
class OptimizeReport:
    """What `optimize` did; `changed` is False when there was nothing to do."""

    changed: bool
    message: str
    seconds: float


class BaseStorage(ABC):
    """Memories with their vectors, found by meaning, words, tags and time.

    Every method raises StorageError or a subclass when the storage fails, never a driver's own exception.
    A write has returned only when it would survive kill -9 and power loss; every write may be sent again.
    Input has passed domain checks; a vector of the wrong size raises DimensionMismatchError all the same.
    """

    @abstractmethod
    async def initialize(self) -> None:
        """Open, creating what never existed. Raises ModelChangedError, StorageLockedError, StorageFormatError, ..."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what was accepted, then release everything. Safe to call twice."""

    @abstractmethod
    async def upsert(
        self, memories: Sequence[EmbeddedMemory], *, mode: UpsertMode = UpsertMode.REPLACE
    ) -> list[UpsertOutcome]:
        """Store memories durably; one outcome each, in order. A hash given twice in one call: the first wins."""

    @abstractmethod
    async def get(self, hashes: Sequence[str]) -> dict[str, Memory]:
        """The memories with these hashes; unknown hashes are absent from the answer."""

    @abstractmethod
    async def get_embedded(self, hashes: Sequence[str]) -> dict[str, EmbeddedMemory]:
        """As `get`, with vectors."""

    @abstractmethod
    async def delete(self, hashes: Sequence[str]) -> list[str]:
        """Delete durably; returns the hashes that were there."""

    @abstractmethod
    async def delete_matching(self, where: MemoryFilter) -> int:
        """Delete what matches, durably; returns how many. An empty filter raises InvalidInputError."""

    @abstractmethod
    async def update(self, content_hash: str, changes: MemoryChanges) -> Memory:
        """Apply the changes atomically (metadata merged key by key) and durably; returns the memory as it is now.

        `revision` grows. Concurrent updates of different metadata keys both survive. Raises MemoryNotFoundError.
        """

    @abstractmethod
    async def search(self, query: SearchQuery) -> list[ScoredMemory]:
        """Best first. Each hit carries its own semantic similarity where the query has a vector."""

    @abstractmethod
    async def page(
        self,
        where: MemoryFilter,
        *,
        limit: int,
        cursor: Cursor | None = None,
        offset: int = 0,
    ) -> Page:
        """Newest first by (created_at descending, id ascending); complete even where many share one created_at."""

    @abstractmethod
    async def count(self, where: MemoryFilter) -> int:
        """Exact number of memories that match."""

    @abstractmethod
    async def tags(self, where: MemoryFilter) -> dict[str, int]:
        """Every tag with the number of matching memories that carry it, most frequent first."""

    async def facet(self, field: FacetField, where: MemoryFilter) -> dict[str, int]:
        """Every value of a field with the number of matching memories that have it, most frequent first; absent values aside.

        Counted here by reading every match: a backend whose engine counts by index overrides it.
        """
        counts: Counter[str] = Counter()
        async for batch in self.iterate(where):
            counts.update(value for item in batch for value in field.values_of(item.memory))
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    @abstractmethod
    async def stats(self) -> StorageStats: ...

    @abstractmethod
    async def health(self) -> StorageHealth:
        """Never raises for an unhealthy storage: says so."""

    @abstractmethod
    def iterate(
        self,
        where: MemoryFilter = EVERYTHING,
        *,
        batch_size: int = 256,
        after_id: str | None = None,
    ) -> AsyncIterator[list[EmbeddedMemory]]:
        """Everything that matches, once each, in order of point id, in bounded batches: for export and migration.

        `after_id` resumes behind that id. Memories stored or deleted meanwhile may or may not be seen.
        """

    async def versions(self, *, batch_size: int = 1_000) -> AsyncIterator[list[Version]]:
        """Of every memory, in order of point id, in bounded batches: how two collections are compared.

        Read here with everything else: a backend that can leave texts and vectors aside overrides it.
        """
        async for batch in self.iterate(batch_size=batch_size):
            yield [Version(item.memory.id, item.memory.content_hash, item.memory.revision) for item in batch]

    @abstractmethod
    async def optimize(self) -> OptimizeReport:
        """Bring indexes to the state the collection's size asks for; serving goes on meanwhile."""


@runtime_checkable
class Quantizable(Protocol):
    """A backend whose vectors can be quantized and restored on live data."""

    async def set_quantization(self, kind: str | None) -> None: ...


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup holds."""

    folder: Path
    memories: int
    bytes: int


@runtime_checkable
class SupportsBackup(Protocol):
    """A backend that copies itself into a folder, consistently while it serves, and comes back from there."""

    async def backup(self, folder: Path) -> BackupReport:
        """Write a backup. Raises StorageError for a folder that is taken."""

    async def restore(self, folder: Path) -> BackupReport:
        """Take the place of what is stored.

        Raises StorageFormatError for a damaged backup, ModelChangedError for one of another model; nothing was changed then.
        """


@runtime_checkable
class LiveStorage(Quantizable, SupportsBackup, Protocol):
    """A backend that is quantized, backed up and restored while it serves: what wrappers of a storage pass on."""


@asynccontextmanager
async def opened(storage: BaseStorage) -> AsyncIterator[None]:
    """The storage initialized; closed at the end, also where opening it failed half-way. Raises what `initialize` raises."""
    try:
        await storage.initialize()
        yield
    finally:
        await storage.close()
