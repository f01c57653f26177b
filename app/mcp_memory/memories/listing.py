"""Pages of memories, newest first."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from mcp_memory.domain.checks import check_limit
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import Memory
from mcp_memory.domain.query import Cursor, MemoryFilter
from mcp_memory.memories.conditions import to_filter
from mcp_memory.memories.context import Context
from mcp_memory.memories.requests import Conditions, Listing

MAX_PAGE = 100_000
SLICE = 256
"""Memories that are read at a time where all are asked for."""
_CURSOR = re.compile(r"(\d{1,12}(?:\.\d{1,17})?(?:e-\d\d)?)_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.ASCII)


async def page(conditions: Conditions, context: Context, *, limit: int, cursor: str | None, page: int) -> Listing:
    check_limit(limit)
    check_limit(page, field="page", maximum=MAX_PAGE)
    position = None if cursor is None else parse_cursor(cursor)
    if position is not None and page != 1:
        raise InvalidInputError("Give a cursor or a page number, not both.", field="page")
    where = to_filter(conditions, now=context.clock(), zone=context.options.zone)
    total = await context.storage.count(where)
    found = await context.storage.page(where, limit=limit, cursor=position, offset=(page - 1) * limit)
    return Listing(found.memories, total, found.next)


async def pages(where: MemoryFilter, context: Context) -> AsyncIterator[list[Memory]]:
    """Everything that matches and was there at the start, newest first; what is stored meanwhile is newer, and not waited for."""
    page = await context.storage.page(where, limit=SLICE)
    while page.memories:
        yield page.memories
        if page.next is None:
            return
        page = await context.storage.page(where, limit=SLICE, cursor=page.next)


def parse_cursor(text: str) -> Cursor:
    """The position that `Cursor.encode` wrote. Raises InvalidInputError for anything else."""
    if match := _CURSOR.fullmatch(text):
        cursor = Cursor(float(match[1]), match[2])
        if cursor.encode() == text:
            return cursor
    raise InvalidInputError(
        f"The cursor {text[:80]!r} isn't one of this service: use `next` of an earlier page as it was given.",
        field="cursor",
    )
