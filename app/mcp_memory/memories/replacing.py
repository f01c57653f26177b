"""Store a memory in place of an older one, which stays by hash, says what superseded it, and leaves results."""

from __future__ import annotations

from dataclasses import replace

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import SUPERSEDED_BY, EmbeddedMemory, Memory, MemoryChanges, next_revision
from mcp_memory.memories import store
from mcp_memory.memories.change import supersede
from mcp_memory.memories.context import Context
from mcp_memory.memories.requests import StoreResult, StoreStatus
from mcp_memory.storage.base import UpsertMode


async def store_in_place_of(older: str, memory: Memory, context: Context) -> StoreResult:
    """The new one is stored first: whatever happens between the two writes, nothing is lost and the call can be repeated."""
    old = await context.existing(older, None)
    if old.content_hash == memory.content_hash:
        return await _rewrite(old, memory, context)
    if old.superseded_by not in (None, memory.content_hash):
        raise InvalidInputError(
            f"{old.content_hash} was superseded by {old.superseded_by} already: nothing was stored. Replace that one.",
            field="replaces",
        )
    results = await store.store_prepared([memory], context, semantic_dedup=False)
    result = results[memory.content_hash]
    there = result.memory
    if there is not None and there.superseded_by is not None:
        there = await context.storage.update(there.content_hash, MemoryChanges(metadata={SUPERSEDED_BY: None}))
        result = replace(store.stored(there), message=f"{store.stored(there).message}; it is current again")
    if old.superseded_by is None:
        await supersede(old, memory.content_hash, context)
    message = (
        f"{result.message.rstrip('.')}. It replaces {old.content_hash}, which stays by its hash and leaves results."
    )
    return replace(result, message=message, memory=there, replaced=old.content_hash)


async def _rewrite(old: Memory, memory: Memory, context: Context) -> StoreResult:
    """Texts that differ in case or outer blanks are one memory: the text is replaced, everything else stays."""
    if old.content == memory.content:
        return StoreResult(StoreStatus.DUPLICATE, f"Duplicate content detected (exact match): {old.content_hash}.", old)
    (vector,) = await context.embed_documents([memory.content])
    new = replace(
        old, content=memory.content, updated_at=context.clock(), revision=next_revision(context.clock(), old.revision)
    )
    await context.storage.upsert([EmbeddedMemory(new, vector)], mode=UpsertMode.REPLACE)
    return replace(
        store.stored(new), message=f"Memory stored successfully (hash: {new.content_hash}): its text was replaced."
    )
