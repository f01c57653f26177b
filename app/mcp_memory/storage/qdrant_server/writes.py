"""Writes: idempotent by id, conditional by revision, acknowledged when they would survive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from mcp_memory.domain.errors import InvalidInputError, MemoryNotFoundError, StorageUnavailableError
from mcp_memory.domain.memory import EmbeddedMemory, Memory, MemoryChanges, changed_tags, point_id
from mcp_memory.domain.query import EVERYTHING, MemoryFilter
from mcp_memory.storage.base import UpsertMode, UpsertOutcome
from mcp_memory.storage.payload import from_payload, metadata_of, set_metadata, to_microseconds
from mcp_memory.storage.qdrant_server.filters import to_filter
from mcp_memory.storage.qdrant_server.points import batches, stored_payload, to_points

if TYPE_CHECKING:
    from qdrant_client.models import WriteOrdering

    from mcp_memory.storage.qdrant_server.reads import Reads
    from mcp_memory.storage.qdrant_server.revisions import RevisionClock

DELETE_SLICE: Final = 1_000
_ATTEMPTS: Final = 100
_STRIPES: Final = 64


class Writes:
    """Writes to the collection behind one alias."""

    def __init__(self, reads: Reads, revisions: RevisionClock) -> None:
        self._reads = reads
        self._connection = reads.connection
        self._options = reads.options
        self._alias = reads.alias
        self._revisions = revisions
        self._stripes = [asyncio.Lock() for _ in range(_STRIPES)]

    async def upsert(self, items: Sequence[EmbeddedMemory], mode: UpsertMode) -> list[UpsertOutcome]:
        """Store in batches; of a hash given twice the first wins."""
        first: dict[str, EmbeddedMemory] = {}
        for item in items:
            first.setdefault(item.memory.id, item)
        stored: set[str] = set()
        for batch in batches(list(first.values())):
            async with self._alone_with([item.memory.id for item in batch]):
                stored |= await (self._insert(batch) if mode is UpsertMode.INSERT else self._replace(batch, mode))
        outcomes = []
        for item in items:
            new = item.memory.id in stored
            stored.discard(item.memory.id)
            outcomes.append(UpsertOutcome.STORED if new else UpsertOutcome.EXISTED)
        return outcomes

    async def _insert(self, batch: Sequence[EmbeddedMemory]) -> set[str]:
        """Ids that this call stored: those that now carry the revision it gave. True even where an answer was lost."""
        from qdrant_client.models import UpdateMode  # noqa: PLC0415

        payloads = [stored_payload(item, self._revisions.next(item.memory.revision)) for item in batch]
        await self._write(batch, payloads, UpdateMode.INSERT_ONLY)
        ids = [item.memory.id for item in batch]
        found = await self._reads.payloads(ids, only=["revision"])
        given = {id_: payload["revision"] for id_, payload in zip(ids, payloads, strict=True)}
        return {id_ for id_, payload in found.items() if payload.get("revision") == given[id_]}

    async def _replace(self, batch: Sequence[EmbeddedMemory], mode: UpsertMode) -> set[str]:
        there = await self._reads.payloads([item.memory.id for item in batch], only=["revision"])
        payloads = []
        for item in batch:
            before = int(there.get(item.memory.id, {}).get("revision", 0))
            revision = item.memory.revision
            if mode is not UpsertMode.COPY:
                revision = self._revisions.next(max(revision, before + 1))
            self._revisions.seen(revision)
            payloads.append(stored_payload(item, revision))
        await self._write(batch, payloads, None)
        return {item.memory.id for item in batch} - there.keys()

    async def _write(self, batch: Sequence[EmbeddedMemory], payloads: Sequence[dict[str, Any]], mode: Any) -> None:
        points = await to_points(batch, payloads, self._options.model.vector_name)
        await self._connection.write(
            lambda client: client.upsert(self._alias, points, wait=True, update_mode=mode, ordering=self._ordering()),
            f"storing {len(points)} memories",
        )

    async def delete(self, hashes: Sequence[str]) -> list[str]:
        there: list[str] = []
        wanted = list(dict.fromkeys(hashes))
        for start in range(0, len(wanted), DELETE_SLICE):
            part = {point_id(hash_): hash_ for hash_ in wanted[start : start + DELETE_SLICE]}
            found = await self._reads.payloads(list(part), only=[])
            if found:
                await self._delete(list(found), EVERYTHING)
            there += [hash_ for id_, hash_ in part.items() if id_ in found]
        return there

    async def delete_matching(self, where: MemoryFilter) -> int:
        if where.empty:
            raise InvalidInputError("Deleting needs at least one condition; an empty filter would delete everything.")
        total = 0
        after: str | None = None
        while ids := await self._reads.ids(where, limit=DELETE_SLICE, after=after):
            await self._delete(ids, where)
            total += len(ids)
            after = ids[-1]
        return total

    async def _delete(self, ids: Sequence[str], where: MemoryFilter) -> None:
        """Delete those of the points that still match."""
        from qdrant_client.models import FilterSelector, PointIdsList  # noqa: PLC0415

        condition = to_filter(where, among=ids)
        selector = (
            PointIdsList(points=list(ids)) if where.empty or condition is None else FilterSelector(filter=condition)
        )
        async with self._alone_with(ids):
            await self._connection.write(
                lambda client: client.delete(self._alias, selector, wait=True, ordering=self._ordering()),
                f"deleting {len(ids)} memories",
            )

    async def update(self, content_hash: str, changes: MemoryChanges) -> Memory:
        """Read, change, write back if the revision is still the one that was read, look whether that was so; again if not."""
        id_ = point_id(content_hash)
        async with self._stripes[hash(id_) % _STRIPES]:
            for _ in range(_ATTEMPTS):
                before = (await self._reads.payloads([id_])).get(id_)
                if before is None:
                    raise MemoryNotFoundError(content_hash)
                after = _changed(before, changes)
                after["revision"] = self._revisions.next(int(before.get("revision", 0)) + 1)
                await self._overwrite(id_, before.get("revision"), after)
                now = (await self._reads.payloads([id_])).get(id_)
                if now is not None and _same(now, after):
                    return from_payload(after)
        raise StorageUnavailableError(f"Memory {content_hash} is being changed by too many others; try again.")

    async def _overwrite(self, id_: str, revision: int | None, payload: dict[str, Any]) -> None:
        from qdrant_client import models  # noqa: PLC0415

        unchanged: Any = (
            models.IsEmptyCondition(is_empty=models.PayloadField(key="revision"))
            if revision is None
            else models.FieldCondition(key="revision", match=models.MatchValue(value=revision))
        )
        condition = models.Filter(must=[models.HasIdCondition(has_id=[id_]), unchanged])
        await self._connection.write(
            lambda client: client.overwrite_payload(
                self._alias, payload, models.FilterSelector(filter=condition), wait=True, ordering=self._ordering()
            ),
            "changing a memory",
        )

    @asynccontextmanager
    async def _alone_with(self, ids: Sequence[str]) -> AsyncIterator[None]:
        """Where no leader puts writes in order, those of this process to one memory come one after the other."""
        async with AsyncExitStack() as stack:
            if self._options.write_ordering == "weak":
                for stripe in sorted({hash(id_) % _STRIPES for id_ in ids}):
                    await stack.enter_async_context(self._stripes[stripe])
            yield

    def _ordering(self) -> WriteOrdering | None:
        """With replicas, one leader puts writes in order: conditions would otherwise be judged differently by each."""
        from qdrant_client.models import WriteOrdering  # noqa: PLC0415

        return WriteOrdering(self._options.write_ordering) if (self._options.replication_factor or 1) > 1 else None


def _changed(payload: Mapping[str, Any], changes: MemoryChanges) -> dict[str, Any]:
    """The payload with the changes made, metadata merged key by key."""
    new = dict(payload)
    new["tags"] = list(
        changed_tags(payload.get("tags") or (), tags=changes.tags, add=changes.add_tags, remove=changes.remove_tags)
    )
    if changes.store is not None:
        new["store"] = changes.store
    if changes.memory_type is not None:
        new["memory_type"] = changes.memory_type
    if changes.metadata is not None:
        set_metadata(new, {**metadata_of(payload), **changes.metadata})
    if changes.updated_at is not None:
        new["updated_at"] = to_microseconds(changes.updated_at)
    return new


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both are the same write. Raw floats aren't compared: the server's reader may lose their last bit."""
    fields = ("revision", "tags", "memory_type", "store")
    return all(one.get(field) == other.get(field) for field in fields) and metadata_of(one) == metadata_of(other)
