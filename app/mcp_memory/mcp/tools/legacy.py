"""The names that tools had in older releases of the original, kept as aliases (MCP_LEGACY_TOOL_NAMES=false takes them away)."""

from __future__ import annotations

import time
from dataclasses import replace

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.timesentences import split_time
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.legacy_answers import FOUND, LISTED, found, listed
from mcp_memory.mcp.tool import Tool, ToolAnswer
from mcp_memory.mcp.tools.delete import MEMORY_DELETE, remove
from mcp_memory.mcp.tools.figures import MEMORY_HEALTH
from mcp_memory.mcp.tools.listing import MAX_PAGE_SIZE, MEMORY_LIST
from mcp_memory.mcp.tools.search import MAX_LIMIT, MEMORY_SEARCH
from mcp_memory.mcp.tools.store import CLIENT_HOSTNAME, MEMORY_STORE
from mcp_memory.memories.requests import Conditions, SearchRequest
from mcp_memory.memories.service import Memories

_MAX_CHARS = schemas.integer("Longest answer in characters; memories that don't fit are left out", minimum=0)
_N_RESULTS = schemas.integer("How many at most", minimum=1, maximum=100, default=5)
_BY_TAG_LIMIT = 100
_NOTHING_MORE = {
    name: schema for name, schema in MEMORY_SEARCH.accepted.items() if schemas.WITHOUT_EFFECT in schema["description"]
}


async def _retrieve(memories: Memories, arguments: Arguments) -> ToolAnswer:
    limit, capped = how_many(arguments)
    request = SearchRequest(
        query=arguments.required("query"),
        limit=limit,
        similarity_threshold=arguments.number("similarity_threshold"),
    )
    return found(await memories.search(request), arguments.integer("max_response_chars", 0), capped=capped)


def how_many(arguments: Arguments) -> tuple[int, str]:
    """`n_results` or `limit`, which hooks of the original send; above what is given at once it is capped, as there, and said."""
    name = "limit" if arguments.number("n_results") is None else "n_results"
    return arguments.at_most(name, 5, MAX_LIMIT)


async def _recall(memories: Memories, arguments: Arguments) -> ToolAnswer:
    """The time stands inside the question; a question that is nothing but a time gives the newest of that time."""
    time_expr, query = split_time(arguments.required("query"), time.time())
    limit, capped = how_many(arguments)
    request = SearchRequest(query=query, conditions=Conditions(time_expr=time_expr), limit=limit)
    return found(await memories.search(request), arguments.integer("max_response_chars", 0), capped=capped)


async def _by_tag(memories: Memories, arguments: Arguments) -> ToolAnswer:
    tags = arguments.tags("tags") or arguments.tags("tag")
    if not tags:
        raise InvalidInputError("The argument tags is required.", field="tags")
    both = (arguments.filled("operation") or "").strip().upper()
    if both not in ("", "AND", "OR"):
        raise InvalidInputError(f"operation must be AND or OR, got {both!r:.40}.", field="operation")
    match = "all" if arguments.flag("match_all") or both == "AND" else "any"
    request = SearchRequest(conditions=Conditions(tags=tags, tag_match=match), limit=_BY_TAG_LIMIT)
    return found(await memories.search(request), arguments.integer("max_response_chars", 0))


async def _delete(memories: Memories, arguments: Arguments) -> ToolAnswer:
    content_hash = arguments.filled("content_hash")
    if content_hash is None:
        raise InvalidInputError("The argument content_hash is required.", field="content_hash")
    answer = await remove(memories, arguments, [content_hash], unasked=None)
    _, *lines = answer.text.split("\n")
    # The original's sentence, with the whole hash: its clients look for the beginning of it.
    message = f"Memory deleted successfully: {answer.structured['deleted_hashes'][0]}"
    return ToolAnswer("\n".join([message, *lines]), {**answer.structured, "message": message})


async def _list(memories: Memories, arguments: Arguments) -> ToolAnswer:
    page = arguments.integer("page", 1)
    page_size, capped = arguments.at_most("page_size", 10, MAX_PAGE_SIZE)
    conditions = Conditions(tags=arguments.tags("tag"), memory_type=arguments.filled("memory_type"))
    return listed(await memories.page(conditions, limit=page_size, page=page), page, page_size, capped=capped)


STORE_MEMORY = replace(
    MEMORY_STORE,
    name="store_memory",
    title="Store a memory (old name)",
    description="Old name of memory_store: prefer that one.",
    parameters={
        name: MEMORY_STORE.parameters[name] for name in ("content", "tags", "memory_type", "metadata", "store")
    },
    required=("content",),
    accepted={**MEMORY_STORE.accepted, "client_hostname": CLIENT_HOSTNAME},
)
RETRIEVE_MEMORY = replace(
    MEMORY_SEARCH,
    name="retrieve_memory",
    title="Search memories (old name)",
    description="Old name of memory_search: prefer that one.",
    parameters={
        "query": schemas.text("What to look for, in natural language"),
        "n_results": _N_RESULTS,
        "limit": schemas.integer("The same as n_results", minimum=1),
        "similarity_threshold": MEMORY_SEARCH.accepted["similarity_threshold"],
        "max_response_chars": _MAX_CHARS,
    },
    required=("query",),
    accepted=_NOTHING_MORE,
    aliases={},
    output=FOUND,
    run=_retrieve,
)
RECALL_MEMORY = replace(
    MEMORY_SEARCH,
    name="recall_memory",
    title="Recall memories of a time (old name)",
    description="Old way to search by time: prefer memory_search with time_expr.",
    parameters={
        "query": schemas.text('A question with a time in it, e.g. "what did we decide last week about Atlas"'),
        "n_results": _N_RESULTS,
        "limit": schemas.integer("The same as n_results", minimum=1),
        "max_response_chars": _MAX_CHARS,
    },
    required=("query",),
    accepted=_NOTHING_MORE,
    aliases={},
    output=FOUND,
    run=_recall,
)
SEARCH_BY_TAG = replace(
    MEMORY_SEARCH,
    name="search_by_tag",
    title="Search by tag (old name)",
    description="Old way to search by tag: prefer memory_search with tags. Gives the newest 100.",
    parameters={
        "tags": schemas.texts("Tags to look for"),
        "tag": schemas.text("One tag, in place of tags"),
        "match_all": schemas.flag("Whether every tag must be there", default=False),
        "operation": schemas.text("AND: every tag must be there; OR: one of them"),
        "max_response_chars": _MAX_CHARS,
    },
    accepted=_NOTHING_MORE,
    aliases={},
    output=FOUND,
    run=_by_tag,
)
DELETE_MEMORY = replace(
    MEMORY_DELETE,
    name="delete_memory",
    title="Delete a memory (old name)",
    description="Old name of memory_delete: prefer that one.",
    parameters={"content_hash": schemas.text("Hash of the memory to delete")},
    accepted={},
    required=("content_hash",),
    run=_delete,
)
CHECK_DATABASE_HEALTH = replace(
    MEMORY_HEALTH,
    name="check_database_health",
    title="Check health (old name)",
    description="Old name of memory_health: prefer that one.",
)
LIST_MEMORIES = replace(
    MEMORY_LIST,
    name="list_memories",
    title="List memories (old name)",
    description="Old name of memory_list: prefer that one.",
    parameters={
        "page": MEMORY_LIST.parameters["page"],
        "page_size": schemas.integer("Memories a page", minimum=1, maximum=100, default=10),
        "tag": schemas.text("Only memories with this tag, or one of several separated by commas"),
        "memory_type": MEMORY_LIST.parameters["memory_type"],
    },
    accepted={},
    aliases={},
    output=LISTED,
    run=_list,
)

RENAMED_TOOLS: tuple[Tool, ...] = (
    STORE_MEMORY,
    RETRIEVE_MEMORY,
    RECALL_MEMORY,
    SEARCH_BY_TAG,
    DELETE_MEMORY,
    CHECK_DATABASE_HEALTH,
    LIST_MEMORIES,
)
