"""Delete many memories: by conditions, by hashes, or because they are duplicates.

Slices are bounded, so that others get in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.hashes import has_the_form, malformed, spellings
from mcp_memory.domain.memory import Memory
from mcp_memory.domain.memory import content_hash as hash_of
from mcp_memory.domain.query import EVERYTHING, MemoryFilter
from mcp_memory.memories.conditions import refuse_blanks, selects, to_filter
from mcp_memory.memories.context import Context
from mcp_memory.memories.listing import SLICE, pages
from mcp_memory.memories.requests import CleanupReport, Conditions, ForgetAnswer, UnconfirmedError
from mcp_memory.memories.wanted import still_wanted

MAX_NAMED = 1_000
"""Hashes that an answer names, and that a caller may give at once."""
FIRST = 5
"""Memories that a question before a deletion shows."""
PREVIEW = 20
"""Memories that an answer shows."""
FOREIGN_AT_ONCE = 200_000
"""Memories with a foreign hash that cleanup holds in memory at a time, some 60 MB."""


async def forget(
    conditions: Conditions | None,
    context: Context,
    *,
    hashes: Sequence[str] | None,
    dry_run: bool,
    expect: int | None = None,
    unasked: int | None = None,
) -> ForgetAnswer:
    where = replace(
        to_filter(conditions, now=context.clock(), zone=context.options.zone, deleting=True), current_only=False
    )
    if hashes is not None:
        return await _forget_hashes(hashes, where, context, dry_run=dry_run)
    if not selects(where):
        raise InvalidInputError(
            "A delete needs at least one condition: hashes, tags, memory_type or a time. A store alone is not one.",
            field="conditions",
        )
    if conditions is not None:
        refuse_blanks(conditions)
    if not dry_run and (expect is not None or unasked is not None):
        await _check_expected(where, context, expect=expect, unasked=unasked)
    count, named, preview = 0, list[str](), list[Memory]()
    async for part in pages(where, context):
        await still_wanted()
        found = [memory.content_hash for memory in part]
        preview += part[: PREVIEW - len(preview)]
        if not dry_run:
            found = await context.storage.delete(found)
        count += len(found)
        named += found[: MAX_NAMED - len(named)]
        if dry_run and len(named) >= MAX_NAMED:
            return ForgetAnswer(await context.storage.count(where), named, dry_run=True, preview=preview)
    return ForgetAnswer(count, named, dry_run, preview)


async def _check_expected(where: MemoryFilter, context: Context, *, expect: int | None, unasked: int | None) -> None:
    """Nobody deletes more than they know of."""
    count = await context.storage.count(where)
    if expect is not None and expect != count:
        raise InvalidInputError(
            f"{count:,} memories meet these conditions, not {expect:,}: nothing was deleted. Look at them with dry_run=true.",
            field="expect",
        )
    if expect is None and unasked is not None and count > unasked:
        raise UnconfirmedError(count, (await context.storage.page(where, limit=FIRST)).memories)


async def _forget_hashes(
    hashes: Sequence[str], where: MemoryFilter, context: Context, *, dry_run: bool
) -> ForgetAnswer:
    wanted = list(dict.fromkeys(spellings(hash_) for hash_ in hashes))
    if not 1 <= len(wanted) <= MAX_NAMED:
        raise InvalidInputError(f"Give 1 to {MAX_NAMED:,} hashes, got {len(wanted):,}.", field="hashes")
    there = await context.storage.get([name for names in wanted for name in names])
    named = [next((name for name in names if name in there), None) for names in wanted]
    for place, names in enumerate(wanted):
        if named[place] is None and (memory := await context.shortened(names[0])) is not None:
            there[memory.content_hash] = memory
            named[place] = memory.content_hash
    found = [hash_ for hash_ in dict.fromkeys(named) if hash_ is not None and where.matches(there[hash_])]
    for names, name in zip(wanted, named, strict=True):
        if name is None and not has_the_form(names[0]):  # nothing that is gone already, but a slip: delete nothing
            raise malformed(names[0])
    if found and not dry_run:
        found = await context.storage.delete(found)
    predecessors = await _predecessors(found, context)
    return ForgetAnswer(len(found), found, dry_run, [there[hash_] for hash_ in found[:PREVIEW]], predecessors)


async def _predecessors(hashes: Sequence[str], context: Context) -> list[str]:
    """What these had superseded and what is still there: it stays hidden, so whoever wants a thing forgotten must know."""
    found: list[str] = []
    for hash_ in hashes[:PREVIEW]:
        page = await context.storage.page(MemoryFilter(superseded_by=hash_), limit=PREVIEW)
        found += [memory.content_hash for memory in page.memories if memory.content_hash not in hashes]
    return found


async def cleanup(context: Context, *, dry_run: bool) -> CleanupReport:
    """A duplicate has a foreign hash or is one of a foreign one's content, so only foreign ones need to be remembered."""
    foreign = 0
    async for part in pages(EVERYTHING, context):
        await still_wanted()
        foreign += sum(memory.content_hash != hash_of(memory.content) for memory in part)
    shares = foreign // FOREIGN_AT_ONCE + 1
    count, named = 0, list[str]()
    for share in range(shares if foreign else 0):
        doomed = await _duplicates(context, share, shares)
        for start in range(0, len(doomed), SLICE):
            await still_wanted()
            found = doomed[start : start + SLICE]
            if not dry_run:
                found = await context.storage.delete(found)
            count += len(found)
            named += found[: MAX_NAMED - len(named)]
    return CleanupReport(count, named, dry_run)


async def _duplicates(context: Context, share: int, shares: int) -> list[str]:
    """Hashes of all but the newest of each content, for one share of all contents (by their hash)."""
    copies: dict[tuple[str, str], list[tuple[bool, float, str]]] = defaultdict(list)
    async for part in pages(EVERYTHING, context):
        for memory in part:
            canonical = hash_of(memory.content)
            if memory.content_hash != canonical and int(canonical[:8], 16) % shares == share:
                copies[canonical, memory.store].append(_rank(memory))
    keys = list(copies)
    for start in range(0, len(keys), SLICE):
        there = await context.storage.get([canonical for canonical, _ in keys[start : start + SLICE]])
        for canonical, store in keys[start : start + SLICE]:
            original = there.get(canonical)
            if original and original.store == store and hash_of(original.content) == canonical:
                copies[canonical, store].append(_rank(original))
    return [hash_ for group in copies.values() for _, _, hash_ in sorted(group)[:-1]]


def _rank(memory: Memory) -> tuple[bool, float, str]:
    """The last of these stays: a current one rather than a superseded one, then the newest."""
    return memory.superseded_by is None, memory.created_at, memory.content_hash
