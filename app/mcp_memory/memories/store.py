"""Store one memory or many. What is there already is looked for before anything is embedded: that is cheap, embedding is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import EmbeddedMemory, Memory, ScoredMemory, similarity_score
from mcp_memory.domain.query import MemoryFilter, SearchMode, SearchQuery
from mcp_memory.memories import replacing
from mcp_memory.memories.context import Context, numbered
from mcp_memory.memories.prepare import prepare
from mcp_memory.memories.requests import NewMemory, StoreResult, StoreStatus
from mcp_memory.memories.wanted import slices, still_wanted
from mcp_memory.storage.base import UpsertMode, UpsertOutcome

if TYPE_CHECKING:
    from mcp_memory.domain.memory import Vector

CONVERSATION = "conversation_id"
"""Key of the metadata. Turns of one conversation resemble each other and are all wanted: they are compared with nothing."""
STORE_ANYHOW = "give it a conversation_id (REST, MCP), or --conversation NAME (memory store)"
MAX_BATCH = 1_000
NAMED_SIMILAR = 3


async def store(
    new: NewMemory, context: Context, *, semantic_dedup: bool | None, replaces: str | None, name_similar: bool
) -> StoreResult:
    memory = prepare(new, context)
    if replaces is not None:
        return await replacing.store_in_place_of(replaces, memory, context)
    results = await store_prepared([memory], context, semantic_dedup=semantic_dedup, name_similar=name_similar)
    return results[memory.content_hash]


async def store_many(
    items: Sequence[NewMemory], context: Context, *, skip_invalid: bool, name_similar: bool
) -> list[StoreResult]:
    if len(items) > MAX_BATCH:
        raise InvalidInputError(
            f"A batch has at most {MAX_BATCH:,} memories, got {len(items):,}. Send several.", field="memories"
        )
    prepared: list[Memory | StoreResult] = []
    for index, new in enumerate(items):
        try:
            prepared.append(prepare(new, context))
        except InvalidInputError as error:
            if not skip_invalid:
                raise numbered(index, error) from None
            prepared.append(StoreResult(StoreStatus.INVALID, error.message, None))
    first = {memory.content_hash: memory for memory in reversed(prepared) if isinstance(memory, Memory)}
    stored = await store_prepared(
        [memory for memory in prepared if isinstance(memory, Memory) and first[memory.content_hash] is memory],
        context,
        semantic_dedup=None,
        name_similar=name_similar,
    )
    return [_result_of(item, first, stored) if isinstance(item, Memory) else item for item in prepared]


def _result_of(memory: Memory, first: dict[str, Memory], stored: dict[str, StoreResult]) -> StoreResult:
    """The result of one item; a later item of the same hash is a duplicate of what the first one came to."""
    result = stored[memory.content_hash]
    if first[memory.content_hash] is memory or result.memory is None or result.status is StoreStatus.SIMILAR:
        return result
    return _duplicate(memory, result.memory)


async def store_prepared(
    memories: Sequence[Memory], context: Context, *, semantic_dedup: bool | None, name_similar: bool = False
) -> dict[str, StoreResult]:
    """Results by hash, of memories whose hashes all differ."""
    dedup = context.options.semantic_dedup_enabled if semantic_dedup is None else semantic_dedup
    results: dict[str, StoreResult] = {}
    for part in slices(memories, lambda memory: len(memory.content)):
        await still_wanted()
        there = await context.storage.get([memory.content_hash for memory in part])
        results |= {
            memory.content_hash: _duplicate(memory, there[memory.content_hash])
            for memory in part
            if memory.content_hash in there
        }
        new = [memory for memory in part if memory.content_hash not in there]
        if not new:
            continue
        vectors = await context.embed_documents([memory.content for memory in new])
        embedded = [EmbeddedMemory(memory, vector) for memory, vector in zip(new, vectors, strict=True)]
        if dedup:
            similar = await _similar(embedded, context)
            results |= similar
            embedded = [item for item in embedded if item.memory.content_hash not in similar]
        results |= await _insert(embedded, context)
        if name_similar:
            for item in embedded:
                near = await near_memories(item, context) if _comparable(item.memory, context) else ()
                results[item.memory.content_hash] = replace(results[item.memory.content_hash], similar=near)
    return results


async def near_memories(item: EmbeddedMemory, context: Context) -> tuple[ScoredMemory, ...]:
    """The current memories of its store that say nearly the same, most similar first; itself aside."""
    hits = await context.storage.search(
        SearchQuery(
            mode=SearchMode.SEMANTIC,
            vector=item.vector,
            where=MemoryFilter(store=item.memory.store, current_only=True),
            limit=NAMED_SIMILAR,
            min_similarity=similarity_score(context.scale.marks().similar),
            exclude=item.memory.content_hash,
        )
    )
    return tuple(hit for hit in hits if _comparable(hit.memory, context))


async def _insert(embedded: Sequence[EmbeddedMemory], context: Context) -> dict[str, StoreResult]:
    """Write what isn't there. Of two writers of one text the storage lets one in; the other gets to know as a duplicate."""
    results: dict[str, StoreResult] = {}
    waiting = list(embedded)
    while waiting:
        outcomes = await context.storage.upsert(waiting, mode=UpsertMode.INSERT)
        existed = []
        for item, outcome in zip(waiting, outcomes, strict=True):
            if outcome is UpsertOutcome.STORED:
                results[item.memory.content_hash] = stored(item.memory)
            else:
                existed.append(item)
        there = await context.storage.get([item.memory.content_hash for item in existed]) if existed else {}
        waiting = []
        for item in existed:
            if (hash_ := item.memory.content_hash) in there:
                results[hash_] = _duplicate(item.memory, there[hash_])
            else:  # deleted between the two calls: it can be stored now
                waiting.append(item)
    return results


async def _similar(embedded: Sequence[EmbeddedMemory], context: Context) -> dict[str, StoreResult]:
    """Those that mean nearly the same as a stored memory of their store, or as an earlier one of the same batch."""
    threshold = context.options.semantic_dedup_threshold
    results: dict[str, StoreResult] = {}
    accepted: list[EmbeddedMemory] = []
    for item in embedded:
        if not _comparable(item.memory, context):
            continue
        near = await _nearest_stored(item, threshold, context) or _nearest(item, accepted, threshold)
        if near is None:
            accepted.append(item)
        else:
            results[item.memory.content_hash] = StoreResult(
                StoreStatus.SIMILAR,
                f"Duplicate content detected (semantically similar to {near.content_hash}); "
                "nothing was stored: update that memory, store this one in its place (replaces), "
                f"or all the same: {STORE_ANYHOW}.",
                near,
            )
    return results


async def _nearest_stored(item: EmbeddedMemory, threshold: float, context: Context) -> Memory | None:
    hits = await context.storage.search(
        SearchQuery(
            mode=SearchMode.SEMANTIC,
            vector=item.vector,
            where=MemoryFilter(store=item.memory.store, current_only=True),
            limit=1,
            min_similarity=similarity_score(threshold),
        )
    )
    return hits[0].memory if hits and context.reads(hits[0].memory.content) else None


def _comparable(memory: Memory, context: Context) -> bool:
    """Whether a semantic duplicate of it can be told at all, and isn't wanted."""
    return CONVERSATION not in memory.metadata and context.reads(memory.content)


def _nearest(item: EmbeddedMemory, others: Sequence[EmbeddedMemory], threshold: float) -> Memory | None:
    return next(
        (
            other.memory
            for other in others
            if other.memory.store == item.memory.store and _cosine(item.vector, other.vector) >= threshold
        ),
        None,
    )


def _cosine(one: Vector, other: Vector) -> float:
    return float(np.dot(one, other))


def stored(memory: Memory) -> StoreResult:
    return StoreResult(StoreStatus.STORED, f"Memory stored successfully (hash: {memory.content_hash})", memory)


def _duplicate(new: Memory, there: Memory) -> StoreResult:
    # Clients of the original match the text up to the parenthesis, then its end or a semicolon.
    message = f"Duplicate content detected (exact match); stored as {there.content_hash}"
    if there.store != new.store:
        message += f" in the store {there.store!r}; move it with memory_update, updates {{'store': {new.store!r}}}"
    message += "."
    if there.superseded_by is not None:
        message += (
            f" It was superseded by {there.superseded_by} and is left out of results: if it is true again, store it with "
            f"replaces={there.superseded_by}."
        )
    if there.content != new.content:
        message += " The stored text differs from this one in case or outer blanks; it was not changed."
    if there.tags != new.tags or there.memory_type != new.memory_type or there.metadata != new.metadata:
        message += " Its tags, type and metadata are as they were: update that memory to change them."
    return StoreResult(StoreStatus.DUPLICATE, message, there)
