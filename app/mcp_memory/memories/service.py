"""Memories: the use cases, one method each. REST, MCP and the CLI call nothing else.

Each use case is worked out in the module of its name; here are their promises.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from mcp_memory.domain.checks import check_store_choice
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import EmbeddedMemory, JsonValue, Memory
from mcp_memory.domain.timerange import parse_time_range
from mcp_memory.domain.timesentences import split_time
from mcp_memory.embedding.base import Embedder
from mcp_memory.memories import change, forget, listing, search, statistics, store, transfer
from mcp_memory.memories.conditions import to_filter
from mcp_memory.memories.context import Context, MemoriesOptions
from mcp_memory.memories.requests import (
    Changes,
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
    UpdateAnswer,
)
from mcp_memory.memories.scale import Marks, Scale
from mcp_memory.storage.base import BaseStorage, OptimizeReport, StorageHealth, StorageStats


class Memories:
    """The use cases over one storage and one embedder, which the caller opens and closes.

    Every method raises InvalidInputError for input that breaks a rule, having changed nothing; StorageError and EmbeddingError
    come through as they are. Hashes are accepted in either case, ids of other stores as they are; what can be neither is an
    InvalidInputError.
    """

    def __init__(
        self,
        storage: BaseStorage,
        embedder: Embedder,
        options: MemoriesOptions | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._context = Context(storage, embedder, options or MemoriesOptions(), clock, Scale(embedder))
        self.notices: list[str] = []
        """What whoever asks first should be told besides the answer, such as that another store lies beside this empty one."""

    def take_notices(self) -> list[str]:
        """The notices, once."""
        notices, self.notices = self.notices, []
        return notices

    @property
    def marks(self) -> Marks:
        """What the model's similarities mean, as far as it is known now."""
        return self._context.scale.marks()

    # Store

    async def store(
        self,
        new: NewMemory,
        *,
        semantic_dedup: bool | None = None,
        replaces: str | None = None,
        name_similar: bool = False,
    ) -> StoreResult:
        """Store one memory durably: STORED, or DUPLICATE / SIMILAR with the memory that is already there.

        `semantic_dedup` overrides the setting for this call. The result is never INVALID: that raises. `replaces` is the hash of
        a memory that this one supersedes: it stays by hash and leaves results. `name_similar` looks for current memories that
        mean nearly the same.
        """
        return await store.store(
            new, self._context, semantic_dedup=semantic_dedup, replaces=replaces, name_similar=name_similar
        )

    async def store_many(
        self, items: Sequence[NewMemory], *, skip_invalid: bool = True, name_similar: bool = False
    ) -> list[StoreResult]:
        """Store many, one result each, in order; duplicates inside the batch are found too.

        Items that break a rule are INVALID in the result and the others are stored; with `skip_invalid=False` the first of
        them raises instead, and nothing is stored.
        """
        return await store.store_many(items, self._context, skip_invalid=skip_invalid, name_similar=name_similar)

    # Search

    async def search(self, request: SearchRequest) -> SearchAnswer:
        """The best memories first; without a query the newest under the conditions."""
        return await search.search(request, self._context)

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
        return await search.similar(
            content_hash, self._context, limit=limit, store=store, similarity_threshold=similarity_threshold
        )

    def split_time(self, question: str) -> tuple[str | None, str | None]:
        """The time that a sentence names, and the rest of it; each None where there is none. A time alone is taken whole."""
        now = self._context.clock()
        try:
            parse_time_range(question, now, self._context.options.zone)
        except InvalidInputError:
            return split_time(question, now)
        return question, None

    # One memory

    async def get(self, content_hash: str, *, store: str | None = None) -> Memory:
        """Raises MemoryNotFoundError where the hash is unknown, or belongs to another store than the one asked for."""
        return await self._context.existing(content_hash, check_store_choice(store))

    async def update(
        self,
        content_hash: str,
        *,
        tags: RawTags = None,
        memory_type: str | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
        preserve_timestamps: bool = False,
        store: str | None = None,
        add_tags: RawTags = None,
        remove_tags: RawTags = None,
        move_to: str | None = None,
    ) -> Memory:
        """Change tags (replaced, or added and removed), type, metadata (merged key by key); None leaves a part.

        `move_to` is the store that the memory belongs to from now on, `store` the one it must be in. Returns the memory as it is
        now.

        `updated_at` becomes now; with `preserve_timestamps` a change of metadata alone leaves it (as the original does).
        Raises MemoryNotFoundError, and InvalidInputError where nothing is to be changed.
        """
        return await change.update(
            content_hash,
            Changes(tags, memory_type, metadata, add_tags, remove_tags, move_to),
            self._context,
            preserve_timestamps=preserve_timestamps,
            store=store,
        )

    async def update_many(
        self, hashes: Sequence[str], changes: Changes, *, preserve_timestamps: bool = False, store: str | None = None
    ) -> UpdateAnswer:
        """The same changes for each of 1 to 1,000 memories; hashes that name none are told, the others are changed."""
        return await change.update_many(
            hashes, changes, self._context, preserve_timestamps=preserve_timestamps, store=store
        )

    async def delete(self, content_hash: str, *, store: str | None = None) -> str:
        """Delete one memory durably; the hash it was stored under. Raises MemoryNotFoundError where there is none."""
        return await change.delete(content_hash, self._context, store=store)

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
        return await listing.page(conditions, self._context, limit=limit, cursor=cursor, page=page)

    def all_pages(self, conditions: Conditions) -> AsyncIterator[list[Memory]]:
        """Everything that meets the conditions and was there at the start, newest first, some hundred at a time.

        Input is checked at the call, before the first page is asked for.
        """
        where = to_filter(conditions, now=self._context.clock(), zone=self._context.options.zone)
        return listing.pages(where, self._context)

    async def hashes(self, cursor: str, *, limit: int) -> tuple[list[str], int | None]:
        """Content hashes of every store in order of point id, and the cursor behind them: None at the end, "0" at the start."""
        return await transfer.hashes(cursor, self._context, limit=limit)

    async def forget(
        self,
        conditions: Conditions | None = None,
        *,
        hashes: Sequence[str] | None = None,
        dry_run: bool = False,
        expect: int | None = None,
        unasked: int | None = None,
    ) -> ForgetAnswer:
        """Delete what meets all conditions, or the named hashes (where both are given: the named ones that meet them).

        Tags, memory_type or a time must be among the conditions, or hashes given: a store alone is not a condition. `after` a
        day begins with the next one here, and a condition that is given and blank is refused. Superseded memories go as well.
        With `expect` only exactly so many are deleted; without it at most `unasked`, where that is given.
        """
        return await forget.forget(
            conditions, self._context, hashes=hashes, dry_run=dry_run, expect=expect, unasked=unasked
        )

    async def cleanup(self, *, dry_run: bool = False) -> CleanupReport:
        """Remove duplicates: of memories with one normalised content under several hashes, the newest stays.

        Only imports that kept foreign hashes can have brought such; what `store` writes can't be duplicated.
        """
        return await forget.cleanup(self._context, dry_run=dry_run)

    # Figures

    async def tags(self, store: str | None = None, *, since: float | None = None) -> dict[str, int]:
        """Every tag with its number of memories (created since then), most frequent first. `store` None or "all": of every
        store.
        """
        return await statistics.tags(store, self._context, since=since)

    async def types(self, store: str | None = None) -> dict[str, int]:
        """Every memory type with its number of memories, most frequent first."""
        return await statistics.types(store, self._context)

    async def stores(self) -> dict[str, int]:
        """Every store with its number of memories, most frequent first."""
        return await statistics.stores(self._context)

    async def count(self, conditions: Conditions | None = None) -> int:
        """How many memories meet the conditions; None: all of them, in every store."""
        where = to_filter(conditions, now=self._context.clock(), zone=self._context.options.zone)
        return await self._context.storage.count(where)

    async def statistics(self) -> Statistics:
        """Figures about the whole collection."""
        return await statistics.statistics(self._context)

    async def storage_stats(self) -> StorageStats:
        """Sizes and index state, as the storage reports them."""
        return await self._context.storage.stats()

    async def health(self) -> StorageHealth:
        """Whether the storage answers; never raises for an unhealthy one."""
        return await self._context.storage.health()

    async def optimize(self) -> OptimizeReport:
        """Bring indexes to the state the collection's size asks for."""
        return await self._context.storage.optimize()

    async def measure_recall(self, samples: int = 100, *, k: int = 10, seed: int = 0) -> RecallReport:
        """recall@k of the index against an exact scan, over at most `samples` random memories used as queries."""
        return await statistics.measure_recall(samples, self._context, k=k, seed=seed)

    # Transfer

    def export(
        self, conditions: Conditions | None = None, *, after_hash: str | None = None, after_id: str | None = None
    ) -> AsyncIterator[Memory]:
        """Everything under the conditions (None: all, in every store), in order of point id.

        `after_id`, or `after_hash` as it is stored, resumes behind that memory.
        """
        return transfer.export(conditions, self._context, after_hash=after_hash, after_id=after_id)

    def export_embedded(
        self, conditions: Conditions | None = None, *, after_hash: str | None = None
    ) -> AsyncIterator[EmbeddedMemory]:
        """As `export`, with vectors."""
        return transfer.export_embedded(conditions, self._context, after_hash=after_hash)

    async def import_many(self, items: Sequence[NewMemory], *, overwrite: bool = False) -> ImportReport:
        """Take in memories of another store: hash and times are kept verbatim, content longer than the limit or with NUL too.

        A hash that is there stays unless `overwrite`. Items that break a rule are listed in the report; the others go on.
        """
        return await transfer.import_many(items, self._context, overwrite=overwrite)

    async def import_lines(self, lines: Sequence[str], *, overwrite: bool = False) -> ImportReport:
        """As `import_many`, of memory objects as JSON texts; one that is none is listed as any other that breaks a rule."""
        return await transfer.import_lines(lines, self._context, overwrite=overwrite)
