"""Pages of memories, newest first."""

from __future__ import annotations

import re

from mcp_memory.domain.checks import check_limit
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.query import Cursor
from mcp_memory.memories.conditions import to_filter
from mcp_memory.memories.context import Context
from mcp_memory.memories.requests import Conditions, Listing

MAX_PAGE = 100_000
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
