"""Search by text, by conditions alone, or by a stored memory."""

from __future__ import annotations

import time
from dataclasses import replace

from mcp_memory.domain.checks import check_limit, check_query, check_store_choice, check_threshold
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.hashes import nothing_named
from mcp_memory.domain.memory import ScoredMemory
from mcp_memory.domain.query import MemoryFilter, SearchMode, SearchQuery
from mcp_memory.memories.conditions import to_filter
from mcp_memory.memories.context import Context
from mcp_memory.memories.requests import SearchAnswer, SearchRequest


async def search(request: SearchRequest, context: Context) -> SearchAnswer:
    """A query that the model knows no words of has no meaning to rank by: it finds by words, and by meaning nothing."""
    started = time.perf_counter()
    query = check_query(request.query)
    mode = parse_mode(request.mode)
    limit = check_limit(request.limit)
    threshold = check_threshold(request.similarity_threshold)
    where = to_filter(request.conditions, now=context.clock(), zone=context.options.zone)
    by_meaning = query is not None and mode in (SearchMode.HYBRID, SearchMode.SEMANTIC)
    if threshold and not by_meaning:
        raise InvalidInputError(
            "similarity_threshold needs a query and the mode hybrid or semantic: nothing else compares meanings.",
            field="similarity_threshold",
        )
    readable = query is not None and by_meaning and context.reads(query)
    hits: list[ScoredMemory] = []
    if readable or mode is not SearchMode.SEMANTIC or query is None:
        hits = await context.storage.search(
            SearchQuery(
                mode=mode,
                text=query,
                vector=await context.embed_query(query) if query is not None and readable else None,
                where=where,
                limit=limit,
                min_similarity=threshold,
            )
        )
    total = len(hits)
    if query is None and total == limit:
        total = await context.storage.count(where)
    named = mode.value if query is not None else "tag" if where.tags else "time"
    return SearchAnswer(hits, named, query or "", _milliseconds_since(started), total)


async def similar(
    content_hash: str, context: Context, *, limit: int, store: str | None, similarity_threshold: float | None
) -> SearchAnswer:
    started = time.perf_counter()
    choice = check_store_choice(store)
    query = SearchQuery(
        mode=SearchMode.SEMANTIC,
        where=MemoryFilter(store=choice, current_only=True),
        limit=check_limit(limit),
        min_similarity=check_threshold(similarity_threshold),
    )
    memory = await context.named(content_hash)
    stored = (
        None if memory is None else (await context.storage.get_embedded([memory.content_hash])).get(memory.content_hash)
    )
    if stored is None or (choice is not None and stored.memory.store != choice):
        raise nothing_named(content_hash)
    hash_ = stored.memory.content_hash
    hits: list[ScoredMemory] = []
    if context.reads(stored.memory.content):
        found = await context.storage.search(replace(query, vector=stored.vector, exclude=hash_))
        hits = [hit for hit in found if context.reads(hit.memory.content)]
    return SearchAnswer(hits, "similar", hash_, _milliseconds_since(started), len(hits))


def parse_mode(text: str) -> SearchMode:
    """The mode of this name. Raises InvalidInputError that lists the modes."""
    try:
        return SearchMode(text.strip().lower())
    except ValueError:
        modes = ", ".join(SearchMode)
        raise InvalidInputError(f"There is no search mode {text[:80]!r}. Modes: {modes}.", field="mode") from None


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
