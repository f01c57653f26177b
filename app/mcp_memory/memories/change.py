"""Update and delete one memory."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_memory.domain.checks import (
    MAX_METADATA_BYTES,
    check_memory_type,
    check_metadata,
    check_store_choice,
    json_size,
)
from mcp_memory.domain.errors import InvalidInputError, MemoryNotFoundError
from mcp_memory.domain.hashes import check_content_hash
from mcp_memory.domain.memory import JsonValue, Memory, MemoryChanges
from mcp_memory.domain.tags import parse_tags
from mcp_memory.memories.context import Context
from mcp_memory.memories.requests import RawTags


async def update(
    content_hash: str,
    context: Context,
    *,
    tags: RawTags,
    memory_type: str | None,
    metadata: Mapping[str, JsonValue] | None,
    preserve_timestamps: bool,
    store: str | None,
) -> Memory:
    check_content_hash(content_hash)
    changes = MemoryChanges(
        tags=None if tags is None else parse_tags(tags),
        memory_type=check_memory_type(memory_type),
        metadata=check_metadata(metadata) or None,
    )
    if changes.empty:
        raise InvalidInputError("There is nothing to change: give tags, memory_type or metadata.", field="updates")
    memory = await context.existing(content_hash, check_store_choice(store))
    if changes.metadata is not None:
        _check_merged(memory, changes.metadata)
    only_metadata = changes.tags is None and changes.memory_type is None
    updated_at = None if preserve_timestamps and only_metadata else context.clock()
    return await context.storage.update(
        memory.content_hash, MemoryChanges(changes.tags, changes.memory_type, changes.metadata, updated_at)
    )


def _check_merged(memory: Memory, changes: Mapping[str, JsonValue]) -> None:
    """What is there and what comes stay within the bound together. Imported metadata beyond it may be changed, not grow."""
    size, allowed = json_size({**memory.metadata, **changes}), max(MAX_METADATA_BYTES, json_size(dict(memory.metadata)))
    if size > allowed:
        raise InvalidInputError(
            f"metadata would take {size:,} bytes with what is there, more than the {allowed:,} allowed.",
            field="metadata",
        )


async def delete(content_hash: str, context: Context, *, store: str | None) -> str:
    """The hash under which it was stored."""
    memory = await context.existing(content_hash, check_store_choice(store))
    if not await context.storage.delete([memory.content_hash]):
        raise MemoryNotFoundError(content_hash)
    return memory.content_hash
