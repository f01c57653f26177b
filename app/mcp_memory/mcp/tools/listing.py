"""memory_list."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.render import MAX_CHARS, Shown, blocks, fitting, shown_object
from mcp_memory.mcp.tool import Tool, ToolAnswer
from mcp_memory.mcp.tools import filters
from mcp_memory.memories.requests import Conditions
from mcp_memory.memories.service import Memories

_DAY = 86_400.0
MAX_PAGE_SIZE = 100


async def list_memories(memories: Memories, arguments: Arguments) -> ToolAnswer:
    hashes = arguments.texts("hashes")
    max_chars = arguments.integer("max_response_chars", 0 if hashes else MAX_CHARS)
    if hashes:
        found = [await memories.get(hash_) for hash_ in hashes[:MAX_PAGE_SIZE]]
        _, capped = Arguments({"hashes": len(hashes)}).at_most("hashes", 0, MAX_PAGE_SIZE)
        these = _Page(len(found), 1, more=False, capped=capped)
        return _answer([Shown(memory, memory.content) for memory in found], these, max_chars)
    tags, tag_match = filters.tag_filter(arguments)
    page = arguments.integer("page", 1)
    page_size, capped = arguments.at_most("page_size", 20, MAX_PAGE_SIZE)
    if page_size < 1:
        raise InvalidInputError(f"page_size must be from 1 to {MAX_PAGE_SIZE}, got {page_size}.", field="page_size")
    conditions = Conditions(
        tags=tags,
        tag_match=tag_match,
        memory_type=arguments.filled("memory_type"),
        before=stale_since(arguments),
        store=filters.store_choice(arguments),
        include_superseded=arguments.flag("include_superseded"),
    )
    listing = await memories.page(conditions, limit=page_size, page=page)
    shown = [Shown(memory, memory.content) for memory in listing.memories]
    about = f" ({filters.described(conditions)})"
    whole = _Page(listing.total, page, more=listing.next is not None, about=about, capped=capped)
    return _answer(shown, whole, max_chars)


@dataclass(frozen=True, slots=True)
class _Page:
    total: int
    number: int
    more: bool
    about: str = ""
    capped: str = ""


def _answer(shown: list[Shown], page: _Page, max_chars: int) -> ToolAnswer:
    headline = f"{page.total} memories{page.about}" if page.total else f"No memories{page.about}."
    if page.number > 1 or page.more:
        headline += f", page {page.number}, newest first" + (f"; more on page {page.number + 1}" if page.more else "")
    headline += page.capped
    kept = fitting(shown, max_chars)
    return ToolAnswer(
        blocks(headline, kept, left_out=len(shown) - len(kept)),
        {
            "message": headline,
            "memories": [shown_object(one) for one in kept],
            "total": page.total,
            "page": page.number,
            "has_more": page.more,
        },
    )


def stale_since(arguments: Arguments) -> float | None:
    days = arguments.number("stale_days")
    if days is None:
        return None
    since = time.time() - days * _DAY
    if not (days >= 0 and since >= 0):
        raise InvalidInputError(f"stale_days must be a number of days from 0 on, got {days!r:.40}.", field="stale_days")
    return since


OUTPUT = schemas.mapping(
    {
        "message": schemas.text("How many there are"),
        "memories": schemas.shown_memories("Newest first"),
        "total": schemas.integer("On all pages"),
        "page": schemas.integer("This page, from 1"),
        "has_more": schemas.flag("Whether another page follows"),
    },
    required=("message", "memories", "total", "page", "has_more"),
)

MEMORY_LIST = Tool(
    name="memory_list",
    title="List memories",
    description=(
        "Page through memories, newest first, or read whole texts by hash. To find something, use memory_search. "
        'Examples: {"tags": ["atlas"], "page": 2}; {"hashes": ["0f35ee144d36"]}'
    ),
    parameters={
        "page": schemas.integer("Page, from 1", minimum=1, default=1),
        "page_size": schemas.integer("Memories a page", minimum=1, maximum=MAX_PAGE_SIZE, default=20),
        "tags": filters.TAGS,
        "tag_match": filters.TAG_MATCH,
        "memory_type": filters.MEMORY_TYPE,
        "store": filters.STORE,
        "hashes": schemas.texts("Only these memories, with their whole text"),
    },
    accepted={
        "stale_days": schemas.number("Only memories created more than this many days ago", minimum=0),
        "agent_id": filters.AGENT_ID,
        "include_superseded": filters.INCLUDE_SUPERSEDED,
        "max_response_chars": schemas.integer("Longest answer in characters", minimum=0, default=MAX_CHARS),
    },
    aliases={
        **filters.GUESSED_TAGS,
        **dict.fromkeys(("limit", "n_results", "top_k", "per_page", "count"), "page_size"),
        **dict.fromkeys(("hash", "content_hash", "content_hashes", "id"), "hashes"),
    },
    output=OUTPUT,
    run=list_memories,
    read_only=True,
)
