"""Newest first, complete under ties: the engine orders by created_at alone, so ties are read separately, in order of id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf, nextafter

from mcp_memory.domain.query import Cursor, MemoryFilter
from mcp_memory.storage.qdrant_embedded.collection import Collection

SLICE = 256


def walk(
    collection: Collection, where: MemoryFilter, cursor: Cursor | None, *, first: int = SLICE
) -> Iterator[list[Cursor]]:
    """Slices of positions by (created_at descending, id ascending) behind the cursor, never empty; the first may be short."""
    size = min(first, SLICE)
    while found := _behind(collection, where, cursor, size):
        yield found
        if len(found) < size:
            return
        cursor, size = found[-1], SLICE


def _behind(collection: Collection, where: MemoryFilter, cursor: Cursor | None, limit: int) -> list[Cursor]:
    found: list[Cursor] = []
    start: float | None = None
    if cursor is not None:
        found = _ties(collection, where, cursor.created_at, cursor.id, limit)
        start = nextafter(cursor.created_at, -inf)
    wanted = limit - len(found)
    if wanted > 0:
        rows = [Cursor(*row) for row in collection.newest(where, limit=wanted, start_from=start)]
        last = min((row.created_at for row in rows), default=0.0)
        whole = [row for row in rows if row.created_at > last]
        found += sorted(whole, key=lambda row: (-row.created_at, row.id))
        if rows:
            found += _ties(collection, where, last, None, wanted - len(whole))
    return found


def _ties(
    collection: Collection, where: MemoryFilter, created_at: float, after: str | None, limit: int
) -> list[Cursor]:
    """Those of one created_at, in order of id."""
    if (where.created_from is not None and created_at < where.created_from) or (
        where.created_to is not None and created_at >= where.created_to
    ):
        return []
    there = replace(where, created_from=created_at, created_to=nextafter(created_at, inf))
    return [
        Cursor(created_at, record.id) for record in collection.scroll(there, limit=limit, after=after, payload=False)
    ]
