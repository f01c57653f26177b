"""Update one memory or many, move them between stores, mark what a newer one superseded, delete one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mcp_memory.domain.checks import (
    MAX_METADATA_BYTES,
    check_memory_type,
    check_metadata,
    check_store,
    check_store_choice,
    json_size,
)
from mcp_memory.domain.errors import InvalidInputError, MemoryNotFoundError
from mcp_memory.domain.hashes import has_the_form, malformed
from mcp_memory.domain.memory import SUPERSEDED_BY, JsonValue, Memory, MemoryChanges, changed_tags
from mcp_memory.domain.tags import parse_tags
from mcp_memory.memories.context import Context
from mcp_memory.memories.requests import Changes, UpdateAnswer
from mcp_memory.memories.wanted import still_wanted

MAX_AT_ONCE = 1_000
"""Memories that one call changes."""


async def update(
    content_hash: str, changes: Changes, context: Context, *, preserve_timestamps: bool, store: str | None
) -> Memory:
    checked = _checked(changes)
    memory = await context.existing(content_hash, check_store_choice(store))
    return await _apply(memory, checked, context, preserve_timestamps=preserve_timestamps)


async def update_many(
    hashes: Sequence[str], changes: Changes, context: Context, *, preserve_timestamps: bool, store: str | None
) -> UpdateAnswer:
    """Each by itself: what is unknown is named, the others are changed."""
    checked, choice = _checked(changes), check_store_choice(store)
    if not 1 <= len(hashes) <= MAX_AT_ONCE:
        raise InvalidInputError(f"Give 1 to {MAX_AT_ONCE:,} hashes, got {len(hashes):,}.", field="hashes")
    known: dict[str, Memory] = {}
    missing = []
    for name in dict.fromkeys(hashes):
        await still_wanted()
        memory = await context.named(name)
        if memory is None or choice not in (None, memory.store):
            if not has_the_form(name):
                raise malformed(name)
            missing.append(name)
        else:
            _check_result(memory, checked)
            known[memory.content_hash] = memory
    changed = []
    for hash_, memory in known.items():
        await still_wanted()
        try:
            changed.append(await _apply(memory, checked, context, preserve_timestamps=preserve_timestamps))
        except MemoryNotFoundError:  # deleted meanwhile
            missing.append(hash_)
    return UpdateAnswer(changed, missing)


async def supersede(old: Memory, new_hash: str, context: Context) -> None:
    """Mark a memory as replaced; its text, tags and times stay."""
    await context.storage.update(old.content_hash, MemoryChanges(metadata={SUPERSEDED_BY: new_hash}))


def _checked(changes: Changes) -> MemoryChanges:
    checked = MemoryChanges(
        tags=None if changes.tags is None else parse_tags(changes.tags),
        memory_type=check_memory_type(changes.memory_type),
        metadata=check_metadata(changes.metadata) or None,
        add_tags=parse_tags(changes.add_tags, field="add_tags"),
        remove_tags=parse_tags(changes.remove_tags, field="remove_tags"),
        store=None if changes.store is None else check_store(changes.store),
    )
    if checked.empty:
        raise InvalidInputError(
            "There is nothing to change: give tags, add_tags, remove_tags, memory_type, metadata or store.",
            field="updates",
        )
    return checked


async def _apply(memory: Memory, changes: MemoryChanges, context: Context, *, preserve_timestamps: bool) -> Memory:
    _check_result(memory, changes)
    keep = preserve_timestamps and changes.only_metadata
    updated_at = None if keep else context.clock()
    return await context.storage.update(memory.content_hash, replace(changes, updated_at=updated_at))


def _check_result(memory: Memory, changes: MemoryChanges) -> None:
    """What is there and what comes stay within the bounds together. Imported metadata beyond it may be changed, not grow."""
    if changes.add_tags:
        parse_tags(changed_tags(memory.tags, tags=changes.tags, add=changes.add_tags, remove=changes.remove_tags))
    if changes.metadata is not None:
        _check_merged(memory, changes.metadata)


def _check_merged(memory: Memory, changes: Mapping[str, JsonValue]) -> None:
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
