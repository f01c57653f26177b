"""Source: what can be read from another store, and what is told about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

from mcp_memory.domain.errors import MemoryServiceError
from mcp_memory.domain.foreign_notes import Note
from mcp_memory.domain.memory import Memory

if TYPE_CHECKING:
    from mcp_memory.domain.memory import Vector


Cursor: TypeAlias = int | str
"""A place in a source's order: a row's number in files, a point's id in storages."""


class SourceError(MemoryServiceError):
    """The source can't be read: it is missing, of another kind, damaged, or changing. It is left as it was."""

    code = "source_error"


class SourceChangedError(SourceError):
    """The source was written to while it was read."""

    code = "source_changed"


class SourceKind(StrEnum):
    SQLITE = "sqlite"
    """A database of the original service, or of our sqlite_vec backend."""
    JSON_EXPORT = "json-export"
    """The original service's JSON export."""
    QDRANT_LOCAL = "qdrant-local"
    """The folder of a qdrant-client local collection."""
    STORAGE = "storage"
    """One of our own backends."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Tells whether a source is the one that was read before: cheap, and different after any write.

    `sha256` covers the first and last 64 KiB, where an SQLite file keeps its change counter, and the same of a -wal beside it.
    """

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What a source holds. total = live + tombstones + superseded; the other counts are of live memories."""

    kind: SourceKind
    path: Path | str
    """A URL where it is a storage's."""
    schema: str
    """Its generation, in words."""
    columns: tuple[str, ...]
    dimensions: int | None
    """None where no vector says."""
    distance: str | None
    model: str | None
    """The embedding model's name where the source records it."""
    total: int
    live: int
    tombstones: int
    superseded: int
    without_embedding: int
    stores: Mapping[str, int]
    fingerprint: Fingerprint | None
    """None for a storage, which may be written to while it is read."""
    left_behind: Mapping[str, int] = field(default_factory=dict)
    """What no memory can carry and therefore stays in the source: rows by table."""
    private_copy: bool = False
    """Whether a live write-ahead log made a private copy necessary."""
    any_vectors: bool = False
    """Whether nobody promised of which model its vectors are: texts are embedded anew unless the vectors prove to be ours."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceMemory:
    """One memory of a source. `vector` is float32[d] as stored, finite and not zero, or None; `cursor` its place in the order."""

    memory: Memory
    vector: Vector | None
    cursor: Cursor
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that can't become a memory, and why."""

    content_hash: str
    cursor: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class SourceBatch:
    """Memories in order of cursor. Reading after `cursor` goes on behind this batch."""

    memories: tuple[SourceMemory, ...]
    unreadable: tuple[Unreadable, ...]
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows besides the live ones are read. Neither is ever searchable, so migration asks for none of them."""

    tombstones: bool = False
    superseded: bool = False


LIVE = Selection()


class Source(Protocol):
    """A store that is read and never written. A context manager; blocking: call it in a worker thread, one call at a time.

    Raises SourceError, naming the path, for what can't be read.
    """

    @property
    def path(self) -> Path: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def inspect(self) -> SourceReport:
        """Counts and properties; the answer is the same until the source changes."""

    def read(self, *, after: int = 0, batch_size: int = 500, select: Selection = LIVE) -> Iterator[SourceBatch]:
        """Batches of at most `batch_size` memories (fewer where texts are long), behind the cursor `after`, in order.

        Raises SourceChangedError when the source was written to meanwhile.
        """


BATCH_BYTES = 16 * 1024 * 1024
"""A batch ends early once its texts take this much, so that memory stays bounded whatever the rows hold."""
