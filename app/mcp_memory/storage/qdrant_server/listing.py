"""Newest first, complete under ties: the server orders by created_at alone, so ties are read separately, in order of id.

Times are whole microseconds (storage.payload), and so are the bounds sent here: the server's JSON reader may miss the last bit of
a float of more digits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from mcp_memory.domain.query import Cursor, MemoryFilter, Page
from mcp_memory.storage.payload import MICROSECOND, from_payload, to_microseconds
from mcp_memory.storage.qdrant_server.reads import Reads, Row

SLICE: Final = 256
LARGEST: Final = 1_024


@dataclass(frozen=True, slots=True)
class Walk:
    """What is walked, and which keys of the payload are read on the way (None: all of it, []: nothing)."""

    reads: Reads
    where: MemoryFilter
    keys: list[str] | None = None
    also: tuple[Any, ...] = ()

    async def newest(self, limit: int, start_from: float | None) -> list[Row]:
        return await self.reads.newest(self.where, limit=limit, start_from=start_from, keys=self.keys, also=self.also)

    async def ties(self, created_at: float, after: str | None, limit: int) -> list[Row]:
        """Those of one created_at, in order of id."""
        where = self.where
        if (where.created_from is not None and created_at < where.created_from) or (
            where.created_to is not None and created_at >= where.created_to
        ):
            return []
        there = replace(where, created_from=created_at, created_to=to_microseconds(created_at + MICROSECOND))
        found = await self.reads.scroll(there, limit=limit, after=after, keys=self.keys, also=self.also)
        return [Row(created_at, row.id, row.payload) for row in found]


async def read_page(reads: Reads, where: MemoryFilter, *, limit: int, cursor: Cursor | None, offset: int) -> Page:
    """One request, or two behind a cursor, where no ties straddle the page's end."""
    found: list[Row] = []
    skipped = 0
    async for rows in walk(Walk(reads, where), cursor, first=offset + limit + 1):
        found += rows
        surplus = min(len(found), offset - skipped)
        del found[:surplus]
        skipped += surplus
        if len(found) > limit:
            break
    taken = found[:limit]
    last = Cursor(taken[-1].value, taken[-1].id) if len(found) > limit and taken else None
    return Page([from_payload(row.payload) for row in taken], last)


async def walk(walk: Walk, cursor: Cursor | None = None, *, first: int = SLICE) -> AsyncIterator[list[Row]]:
    """Slices in order (created_at descending, id ascending) behind the cursor, never empty, each longer than the one before:
    who goes far gets there in fewer requests."""
    size = min(first, LARGEST)
    while found := await _behind(walk, cursor, size):
        yield found
        if len(found) < size:
            return
        cursor = Cursor(found[-1].value, found[-1].id)
        size = min(max(2 * size, SLICE), LARGEST)


async def _behind(walk: Walk, cursor: Cursor | None, limit: int) -> list[Row]:
    """One row more is asked for than needed: where it is older than the last one needed, nothing straddles the end."""
    if cursor is None:
        found: list[Row] = []
        rows = await walk.newest(limit + 1, None)
    else:
        found, rows = await asyncio.gather(
            walk.ties(cursor.created_at, cursor.id, limit),
            walk.newest(limit + 1, to_microseconds(cursor.created_at - MICROSECOND)),
        )
    wanted = limit - len(found)
    if wanted <= 0:
        return found
    if len(rows) > wanted and rows[wanted].value == rows[wanted - 1].value:
        last = rows[wanted].value
        whole = [row for row in rows if row.value > last]
        ties = await walk.ties(last, None, wanted - len(whole))
        return found + _sorted(whole) + ties
    return found + _sorted(rows[:wanted])


def _sorted(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row.value, row.id))
