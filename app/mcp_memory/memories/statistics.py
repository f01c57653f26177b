"""Figures: counts of tags, types and stores, sizes, and the recall of the index."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncGenerator

from mcp_memory.domain.checks import check_limit, check_store_choice
from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.domain.query import EVERYTHING, FacetField, MemoryFilter, SearchMode, SearchQuery
from mcp_memory.memories.context import Context
from mcp_memory.memories.requests import RecallReport, Statistics

WEEK = 7 * 86_400
MAX_SAMPLES = 10_000
TIE = 1e-6
"""Scores closer than this are equal in float32: either neighbour is right."""


async def tags(store: str | None, context: Context, *, since: float | None = None) -> dict[str, int]:
    where = MemoryFilter(store=check_store_choice(store), created_from=since, current_only=True)
    return await context.storage.tags(where)


async def types(store: str | None, context: Context) -> dict[str, int]:
    where = MemoryFilter(store=check_store_choice(store), current_only=True)
    return await context.storage.facet(FacetField.MEMORY_TYPE, where)


async def stores(context: Context) -> dict[str, int]:
    return await context.storage.facet(FacetField.STORE, EVERYTHING)


async def statistics(context: Context) -> Statistics:
    storage, identity = context.storage, context.embedder.identity
    return Statistics(
        total_memories=await storage.count(EVERYTHING),
        unique_tags=len(await storage.tags(EVERYTHING)),
        memories_this_week=await storage.count(MemoryFilter(created_from=context.clock() - WEEK)),
        stores=await storage.facet(FacetField.STORE, EVERYTHING),
        backend=(await storage.health()).backend,
        embedding_model=identity.name,
        embedding_dimension=identity.dimensions,
        disk_data_size=(await storage.stats()).disk_data_size,
    )


async def measure_recall(samples: int, context: Context, *, k: int, seed: int) -> RecallReport:
    check_limit(samples, field="samples", maximum=MAX_SAMPLES)
    check_limit(k, field="k")
    generator = random.Random(seed)  # noqa: S311  (a sample that can be drawn again, not a secret)
    chosen: dict[str, EmbeddedMemory] = {}
    for _ in range(min(samples, await context.storage.count(EVERYTHING))):
        item = await _random_memory(generator, context)
        if item is not None:
            chosen[item.memory.content_hash] = item
    recalls = [await _recall(item, k, context) for item in chosen.values()]
    return RecallReport(len(recalls), k, sum(recalls) / len(recalls) if recalls else 1.0)


async def _random_memory(generator: random.Random, context: Context) -> EmbeddedMemory | None:
    """The first memory behind a random id. Ids are hashes, spread evenly, so every memory is about as likely."""
    start = str(uuid.UUID(int=generator.getrandbits(128)))
    return await _first(start, context) or await _first(None, context)


async def _first(after_id: str | None, context: Context) -> EmbeddedMemory | None:
    batches = context.storage.iterate(batch_size=1, after_id=after_id)
    try:
        return next(iter(await anext(batches, [])), None)
    finally:
        if isinstance(batches, AsyncGenerator):
            await batches.aclose()


async def _recall(item: EmbeddedMemory, k: int, context: Context) -> float:
    """The part of the k true neighbours that the index finds; one that is as near as the last of them counts."""

    def query(*, exact_scan: bool) -> SearchQuery:
        return SearchQuery(
            mode=SearchMode.SEMANTIC,
            vector=item.vector,
            limit=k,
            exclude=item.memory.content_hash,
            exact_scan=exact_scan,
        )

    truth = await context.storage.search(query(exact_scan=True))
    if not truth:
        return 1.0
    found = await context.storage.search(query(exact_scan=False))
    hashes, last = {hit.memory.content_hash for hit in truth}, truth[-1].score
    hits = sum(hit.memory.content_hash in hashes or hit.score >= last - TIE for hit in found)
    return min(hits, len(truth)) / len(truth)
