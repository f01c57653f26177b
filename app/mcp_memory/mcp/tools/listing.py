"""memory_list."""

from __future__ import annotations

import time

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import Memory
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.render import document, memory_object
from mcp_memory.mcp.tool import Tool, ToolAnswer
from mcp_memory.mcp.tools import filters
from mcp_memory.memories.requests import Conditions, Listing
from mcp_memory.memories.service import Memories

_DAY = 86_400.0


async def list_memories(memories: Memories, arguments: Arguments) -> ToolAnswer:
    tags, tag_match = filters.tag_filter(arguments)
    page, page_size = arguments.integer("page", 1), arguments.integer("page_size", 20)
    conditions = Conditions(
        tags=tags,
        tag_match=tag_match,
        memory_type=arguments.filled("memory_type"),
        before=_stale_since(arguments),
        store=filters.store_choice(arguments),
    )
    return listed(await memories.page(conditions, limit=page_size, page=page), page, page_size)


def _stale_since(arguments: Arguments) -> float | None:
    days = arguments.number("stale_days")
    if days is None:
        return None
    since = time.time() - days * _DAY
    if not (days >= 0 and since >= 0):
        raise InvalidInputError(f"stale_days must be a number of days from 0 on, got {days!r:.40}.", field="stale_days")
    return since


def listed(listing: Listing, page: int, page_size: int) -> ToolAnswer:
    """A page as a JSON document; the text and the structured answer are the same."""
    return _document(listing.memories, listing.total, page, page_size, has_more=listing.next is not None)


def _document(items: list[Memory], total: int, page: int, page_size: int, *, has_more: bool) -> ToolAnswer:
    answer = {
        "memories": [memory_object(memory) for memory in items],
        "total": total,
        "page": page,
        "page_size": page_size,
        "has_more": has_more,
    }
    return ToolAnswer(document(answer), answer)


OUTPUT = schemas.mapping(
    {
        "memories": schemas.objects("Newest first", schemas.memory("A memory")),
        "total": schemas.integer("How many there are on all pages"),
        "page": schemas.integer("This page, from 1"),
        "page_size": schemas.integer("Memories a page"),
        "has_more": schemas.flag("Whether another page follows"),
    },
    required=("memories", "total", "page", "page_size", "has_more"),
)

MEMORY_LIST = Tool(
    name="memory_list",
    title="List memories",
    description=(
        "Page through memories, newest first, to see what is there. To find something, use memory_search. "
        'Example: {"tags": ["atlas"], "page": 2}'
    ),
    parameters={
        "page": schemas.integer("Page, from 1", minimum=1, default=1),
        "page_size": schemas.integer("Memories a page", minimum=1, maximum=100, default=20),
        "tags": filters.TAGS,
        "tag_match": filters.TAG_MATCH,
        "memory_type": filters.MEMORY_TYPE,
        "stale_days": schemas.number("Only memories created more than this many days ago", minimum=0),
        "store": filters.STORE,
        "agent_id": filters.AGENT_ID,
    },
    output=OUTPUT,
    run=list_memories,
    read_only=True,
)
