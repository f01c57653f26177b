"""Memories: the use cases, one method each. REST, MCP and the CLI call nothing else."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from mcp_memory.domain.memory import EmbeddedMemory, JsonValue, Memory
from mcp_memory.embedding.base import Embedder
from mcp_memory.memories.requests import (
    CleanupReport,
    Conditions,
    ForgetAnswer,
    ImportReport,
    Listing,
    NewMemory,
    RawTags,
    RecallReport,
    SearchAnswer,
    SearchRequest,
    Statistics,
    StoreResult,
)
from mcp_memory.storage.base import BaseStorage, OptimizeReport, StorageHealth, StorageStats


@dataclass(frozen=True, slots=True)
class MemoriesOptions:
    """What the settings decide about the use cases."""

    max_content_length: int = 65_536
    """Longest content of a new memory, in characters."""
    semantic_dedup_enabled: bool = False
    semantic_dedup_threshold: float = 0.95
    """Cosine from which a new text counts as a duplicate of a stored one of the same store."""
    zone: tzinfo = UTC
    """Where "yesterday" begins (MCP_TIMEZONE or the system's zone)."""


class Memories:
    """The use cases over one storage and one embedder, which the caller opens and closes.

    Every method raises InvalidInputError for input that breaks a rule, having changed nothing; StorageError and EmbeddingError
    come through as they are. Hashes are accepted in either case; a malformed one is an InvalidInputError.
    """

    def __init__(
        self,
        storage: BaseStorage,
        embedder: Embedder,
        options: MemoriesOptions | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._embedder = embedder
        self._options = options or MemoriesOptions()
        self._clock = clock

    # Store

    async def store(self, new: NewMemory, *, semantic_dedup: bool | None = None) -> StoreResult:
        """Store one memory durably: STORED, or DUPLICATE / SIMILAR with the memory that is already there.

        `semantic_dedup` overrides the setting for this call. The result is never INVALID: that raises.
        """
        raise NotImplementedError

    async def store_many(self, items: Sequence[NewMemory], *, skip_invalid: bool = True) -> list[StoreResult]:
        """Store many, one result each, in order; duplicates inside the batch are found too.

        Items that break a rule are INVALID in the result and the others are stored; with `skip_invalid=False` the first of
        them raises instead, and nothing is stored.
        """
        raise NotImplementedError

    # Search

    async def search(self, request: SearchRequest) -> SearchAnswer:
        """The best memories first; without a query the newest under the conditions."""
        raise NotImplementedError

    async def similar(
        self,
        content_hash: str,
        *,
        limit: int = 10,
        store: str | None = None,
        similarity_threshold: float | None = None,
    ) -> SearchAnswer:
        """The memories whose meaning is nearest to a stored one, itself left out; `mode` of the answer is "similar".

        Raises MemoryNotFoundError. `store` None or "all" looks in every store.
        """
        raise NotImplementedError

    # One memory

    async def get(self, content_hash: str, *, store: str | None = None) -> Memory:
        """Raises MemoryNotFoundError where the hash is unknown, or belongs to another store than the one asked for."""
        raise NotImplementedError

    async def update(
        self,
        content_hash: str,
        *,
        tags: RawTags = None,
        memory_type: str | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
        preserve_timestamps: bool = False,
        store: str | None = None,
    ) -> Memory:
        """Change tags (replaced), type, metadata (merged key by key); None leaves a part. Returns the memory as it is now.

        `updated_at` becomes now; with `preserve_timestamps` a change of metadata alone leaves it (as the original does).
        Raises MemoryNotFoundError, and InvalidInputError where nothing is to be changed.
        """
        raise NotImplementedError

    async def delete(self, content_hash: str, *, store: str | None = None) -> None:
        """Delete one memory durably. Raises MemoryNotFoundError where there is none."""
        raise NotImplementedError

    # Many memories

    async def page(
        self,
        conditions: Conditions = Conditions(),  # noqa: B008  (frozen)
        *,
        limit: int = 10,
        cursor: str | None = None,
        page: int = 1,
    ) -> Listing:
        """A page of 1 to 100 memories, newest first. `cursor` is `Cursor.encode()` of an earlier answer; else page 1, 2, ..."""
        raise NotImplementedError

    async def forget(
        self, conditions: Conditions | None = None, *, hashes: Sequence[str] | None = None, dry_run: bool = False
    ) -> ForgetAnswer:
        """Delete what meets all conditions, or the named hashes (where both are given: the named ones that meet them).

        Tags, memory_type or a time must be among the conditions, or hashes given: a store alone is not a condition.
        """
        raise NotImplementedError

    async def cleanup(self, *, dry_run: bool = False) -> CleanupReport:
        """Remove duplicates: of memories with one normalised content under several hashes, the newest stays.

        Only imports that kept foreign hashes can have brought such; what `store` writes can't be duplicated.
        """
        raise NotImplementedError

    # Figures

    async def tags(self, store: str | None = None) -> dict[str, int]:
        """Every tag with its number of memories, most frequent first. `store` None or "all": of every store."""
        raise NotImplementedError

    async def types(self, store: str | None = None) -> dict[str, int]:
        """Every memory type with its number of memories, most frequent first."""
        raise NotImplementedError

    async def stores(self) -> dict[str, int]:
        """Every store with its number of memories, most frequent first."""
        raise NotImplementedError

    async def count(self, conditions: Conditions | None = None) -> int:
        """How many memories meet the conditions; None: all of them, in every store."""
        raise NotImplementedError

    async def statistics(self) -> Statistics:
        """Figures about the whole collection."""
        raise NotImplementedError

    async def storage_stats(self) -> StorageStats:
        """Sizes and index state, as the storage reports them."""
        return await self._storage.stats()

    async def health(self) -> StorageHealth:
        """Whether the storage answers; never raises for an unhealthy one."""
        return await self._storage.health()

    async def optimize(self) -> OptimizeReport:
        """Bring indexes to the state the collection's size asks for."""
        return await self._storage.optimize()

    async def measure_recall(self, samples: int = 100, *, k: int = 10, seed: int = 0) -> RecallReport:
        """recall@k of the index against an exact scan, over at most `samples` random memories used as queries."""
        raise NotImplementedError

    # Transfer

    def export(self, conditions: Conditions | None = None, *, after_hash: str | None = None) -> AsyncIterator[Memory]:
        """Everything under the conditions (None: all, in every store), in order of point id; `after_hash` resumes behind it."""
        raise NotImplementedError

    def export_embedded(
        self, conditions: Conditions | None = None, *, after_hash: str | None = None
    ) -> AsyncIterator[EmbeddedMemory]:
        """As `export`, with vectors."""
        raise NotImplementedError

    async def import_many(self, items: Sequence[NewMemory], *, overwrite: bool = False) -> ImportReport:
        """Take in memories of another store: hash and times are kept verbatim, content longer than the limit or with NUL too.

        A hash that is there stays unless `overwrite`. Items that break a rule are listed in the report; the others go on.
        """
        raise NotImplementedError
