"""Export everything, import what another store held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from uuid import UUID

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.hashes import check_content_hash, has_the_form, malformed
from mcp_memory.domain.memory import EmbeddedMemory, Memory, next_revision, point_id
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.memories.conditions import to_filter
from mcp_memory.memories.context import Context
from mcp_memory.memories.lines import memory_in
from mcp_memory.memories.prepare import prepare_imported
from mcp_memory.memories.requests import Conditions, ImportReport, NewMemory, RejectedItem
from mcp_memory.memories.wanted import slices, still_wanted
from mcp_memory.storage.base import UpsertMode, UpsertOutcome

_CURSOR_SHIFT = 128 - 52


def export_embedded(
    conditions: Conditions | None, context: Context, *, after_hash: str | None, after_id: str | None = None
) -> AsyncIterator[EmbeddedMemory]:
    """Input is checked at the call, before the first memory is asked for: an answer may have begun to stream by then."""
    where = replace(to_filter(conditions, now=context.clock(), zone=context.options.zone), current_only=False)
    if after_hash is not None:
        if not has_the_form(check_content_hash(after_hash)):
            raise malformed(after_hash)
        after_id = point_id(after_hash)
    return _flat(context.storage.iterate(where, after_id=after_id))


async def _flat(batches: AsyncIterator[list[EmbeddedMemory]]) -> AsyncIterator[EmbeddedMemory]:
    async for batch in batches:
        for item in batch:
            yield item


def export(
    conditions: Conditions | None, context: Context, *, after_hash: str | None, after_id: str | None = None
) -> AsyncIterator[Memory]:
    return _memories(export_embedded(conditions, context, after_hash=after_hash, after_id=after_id))


async def _memories(items: AsyncIterator[EmbeddedMemory]) -> AsyncIterator[Memory]:
    async for item in items:
        yield item.memory


async def hashes(cursor: str, context: Context, *, limit: int) -> tuple[list[str], int | None]:
    """A cursor is the first 52 bits of a point id, plus one: a whole number that every reader of JSON keeps exactly.

    Points that share them are given in one page, however long it gets: none is left out.
    """
    found: list[str] = []
    last = -1
    async for item in _flat(context.storage.iterate(EVERYTHING, after_id=_behind(cursor))):
        key = UUID(item.memory.id).int >> _CURSOR_SHIFT
        if len(found) >= limit and key != last:
            return found, last + 1
        found.append(item.memory.content_hash)
        last = key
    return found, None


def _behind(cursor: str) -> str | None:
    """The point id that a cursor ends with; a content hash, which earlier releases gave as cursor, still is one."""
    text = cursor.strip()
    if len(text) == 64:
        return point_id(text.lower())
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or int(text) > 2**128 >> _CURSOR_SHIFT:
        raise InvalidInputError(
            f"The cursor {text[:80]!r} isn't one of this service: use `next_cursor` of an earlier page, or 0.",
            field="cursor",
        )
    return str(UUID(int=(int(text) << _CURSOR_SHIFT) - 1)) if int(text) else None


async def import_many(items: Sequence[NewMemory], context: Context, *, overwrite: bool) -> ImportReport:
    imported, existed, rejected = 0, 0, list[RejectedItem]()
    taken = 0
    for part in slices(items, lambda new: len(new.content) if isinstance(new.content, str) else 0):
        await still_wanted()
        memories: dict[str, Memory] = {}
        for index, new in enumerate(part, taken):
            try:
                memory = prepare_imported(new, context)
            except InvalidInputError as error:
                rejected.append(RejectedItem(index, error.message, error.field))
                continue
            if memory.content_hash in memories:
                existed += 1
                if not overwrite:
                    continue
            memories[memory.content_hash] = memory
        taken += len(part)
        fresh = await _write(memories, context, overwrite=overwrite)
        imported += fresh
        existed += len(memories) - fresh
    return ImportReport(imported, 0 if overwrite else existed, existed if overwrite else 0, rejected)


async def import_lines(lines: Sequence[str], context: Context, *, overwrite: bool) -> ImportReport:
    rejected, items, places = list[RejectedItem](), list[NewMemory](), list[int]()
    for index, line in enumerate(lines):
        try:
            items.append(memory_in(line))
            places.append(index)
        except InvalidInputError as error:
            rejected.append(RejectedItem(index, error.message, error.field))
    report = await import_many(items, context, overwrite=overwrite)
    rejected += [replace(item, index=places[item.index]) for item in report.rejected]
    return replace(report, rejected=sorted(rejected, key=lambda item: item.index))


async def _write(memories: dict[str, Memory], context: Context, *, overwrite: bool) -> int:
    """How many of them were not there before."""
    there = await context.storage.get_embedded(list(memories))
    if not overwrite:
        memories = {hash_: memory for hash_, memory in memories.items() if hash_ not in there}
    known = {hash_: there[hash_].vector for hash_, memory in memories.items() if _same_text(memory, there.get(hash_))}
    unknown = [memory for hash_, memory in memories.items() if hash_ not in known]
    vectors = known
    if unknown:
        embedded = await context.embed_documents([memory.content for memory in unknown])
        vectors |= {memory.content_hash: vector for memory, vector in zip(unknown, embedded, strict=True)}
    if not memories:
        return 0
    outcomes = await context.storage.upsert(
        [EmbeddedMemory(_later(memory, there.get(hash_)), vectors[hash_]) for hash_, memory in memories.items()],
        mode=UpsertMode.REPLACE if overwrite else UpsertMode.INSERT,
    )
    return sum(outcome is UpsertOutcome.STORED for outcome in outcomes)


def _same_text(memory: Memory, there: EmbeddedMemory | None) -> bool:
    return there is not None and there.memory.content == memory.content


def _later(memory: Memory, there: EmbeddedMemory | None) -> Memory:
    """An overwritten memory's revision grows even where the clock was set back."""
    if there is None:
        return memory
    return replace(memory, revision=max(memory.revision, next_revision(0.0, there.memory.revision)))
