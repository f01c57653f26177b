"""Making a new collection what the old one is, whatever is written to the old one meanwhile.

What differs is found by comparing both (differences.py), so that it doesn't matter when, by whom, or by which clock a memory was
written or deleted, nor whether a run before this one was cut off. The first round fills the new collection; the next ones have
less and less to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing

from mcp_memory.domain.memory import EmbeddedMemory, point_id
from mcp_memory.embedding.base import Embedder
from mcp_memory.migration.copied import Copied
from mcp_memory.migration.differences import Difference, differences
from mcp_memory.migration.progress import Step
from mcp_memory.migration.run import Run
from mcp_memory.migration.sources.base import BATCH_BYTES, SourceMemory
from mcp_memory.migration.transfer import move
from mcp_memory.storage.base import BaseStorage, UpsertMode
from mcp_memory.storage.succession import StoredCollection, SupportsConditionalWrites

PAGE = 1_000
"""Memories whose texts are sorted by length before they are embedded: less padding, and 20 batches of the guide's 50."""
FETCHED = 100
_OURS = 0
"""No memory has this revision: one that was brought over at the last moment, and is never brought over again."""


class CatchUp:
    """From an open storage into another open one."""

    def __init__(
        self,
        old: BaseStorage,
        new: BaseStorage,
        embedder: Embedder,
        run: Run,
        *,
        batch_size: int,
        reembed: bool = True,
        copied_up_to: int | None = None,
    ) -> None:
        """`reembed` False: the vectors of both are of one model, and are kept.

        `copied_up_to`: others may write to the new one too. What it alone holds is deleted from it up to this revision, the
        latest of the old one when copying began; what is later is theirs, or may be. None: nobody else knows the new one.
        """
        self._reembed = reembed
        self._copied_up_to = copied_up_to
        self._old = old
        self._new = new
        self._embedder = embedder
        self._run = run
        self._batch_size = batch_size

    async def round(self, *, filling: bool = False) -> int:
        """Copy what is missing or has changed, delete what is gone; how many that were.

        `filling`: count them as the migration's own progress. What failed is in the run's list, and isn't tried again.
        """
        changed = 0
        stale: list[str] = []
        gone: list[str] = []
        failed = set(self._run.checkpoint.failed_hashes)
        self._run.progress.step(Step.READ)
        async with aclosing(differences(self._old, self._new)) as found:
            async for one in found:
                if one.old is not None:
                    if one.old.content_hash not in failed and not self._changed_by_others(one):
                        stale.append(one.old.content_hash)
                elif one.new is not None and not self._changed_by_others(one):
                    gone.append(one.new.content_hash)
                if len(stale) >= PAGE:
                    changed += await self._copy(stale, filling=filling)
                    stale = []
        changed += await self._copy(stale, filling=filling)
        if gone:
            self._run.progress.step(Step.STORE)
            changed += len(await self._new.delete(gone))
        return changed

    def _changed_by_others(self, one: Difference) -> bool:
        """Whether the new one holds what the old one never did."""
        if self._copied_up_to is None or one.new is None:
            return False
        return one.new.revision > (self._copied_up_to if one.old is None else one.old.revision)

    async def _copy(self, hashes: Sequence[str], *, filling: bool) -> int:
        """How many are in the new collection now."""
        copied = 0
        waiting: list[SourceMemory] = []
        size = 0
        for start in range(0, len(hashes), FETCHED):
            found = await self._read(hashes[start : start + FETCHED])
            waiting += found
            size += sum(len(item.memory.content) for item in found)
            if size >= BATCH_BYTES or start + FETCHED >= len(hashes):
                copied += await self._move(waiting, filling=filling)
                waiting, size = [], 0
        return copied

    async def _read(self, hashes: Sequence[str]) -> list[SourceMemory]:
        if self._reembed:
            return [SourceMemory(memory, None, memory.id) for memory in (await self._old.get(hashes)).values()]
        found = (await self._old.get_embedded(hashes)).values()
        return [SourceMemory(item.memory, item.vector, item.memory.id) for item in found]

    async def _move(self, items: Sequence[SourceMemory], *, filling: bool) -> int:
        copied = 0
        ordered = sorted(items, key=lambda item: len(item.memory.content))
        for start in range(0, len(ordered), self._batch_size):
            part = ordered[start : start + self._batch_size]
            moved = await move(
                part, self._new, self._embedder, self._run.progress, reembed=self._reembed, mode=UpsertMode.COPY
            )
            copied += len(moved.stored) + len(moved.existed)
            if filling:
                self._run.record(moved)
            else:
                self._run.record_more(moved)
            self._run.tell(moved.failures)
            self._run.check_stop()
        return copied


class Settling:
    """After the new collection has taken over: what reached the old one at the last moment, without undoing what came since."""

    def __init__(
        self,
        old: BaseStorage,
        new: BaseStorage,
        embedder: Embedder,
        run: Run,
        *,
        writes: SupportsConditionalWrites,
        collection: StoredCollection,
        copied: Copied,
    ) -> None:
        """`writes` to `collection`, which `new` is."""
        self._writes = writes
        self._collection = collection
        self._old = old
        self._new = new
        self._embedder = embedder
        self._run = run
        self._copied = copied
        self._since: dict[str, int] = {}
        """Revisions that earlier rounds have put into the new collection."""

    async def round(self) -> int:
        """How many memories were brought over or deleted."""
        stored: list[str] = []
        changed: dict[str, str] = {}
        deleted: dict[str, int] = {}
        expected: dict[str, int] = {}
        self._run.progress.step(Step.READ)
        async with aclosing(differences(self._old, self._new)) as found:
            async for one in found:
                version = one.old or one.new
                assert version is not None  # noqa: S101 - a difference has at least one side
                before = self._since.get(version.id, self._copied.revision(version.id))
                if one.old is None and one.new is not None and one.new.revision == before:
                    deleted[version.id] = one.new.revision
                elif one.new is None and before is None:
                    stored.append(version.content_hash)
                elif one.old is not None and one.new is not None and one.new.revision == before:
                    changed[version.id] = version.content_hash
                    expected[version.id] = one.new.revision
        if stored:
            await self._new.upsert(await self._embedded(stored), mode=UpsertMode.INSERT)
            self._since |= {point_id(hash_): _OURS for hash_ in stored}
        if changed:
            await self._replace(await self._embedded(list(changed.values())), expected)
        if deleted:
            await self._writes.delete_unchanged(self._collection, deleted)
        return len(stored) + len(changed) + len(deleted)

    async def _replace(self, items: Sequence[EmbeddedMemory], expected: Mapping[str, int]) -> None:
        await self._writes.replace_unchanged(self._collection, items, expected)
        self._since |= {item.memory.id: item.memory.revision for item in items}

    async def _embedded(self, hashes: Sequence[str]) -> list[EmbeddedMemory]:
        self._run.progress.step(Step.EMBED)
        memories = list((await self._old.get(hashes)).values())
        if not memories:
            return []
        vectors = await self._embedder.embed_documents([memory.content for memory in memories])
        return [EmbeddedMemory(memory, vector) for memory, vector in zip(memories, vectors, strict=True)]
