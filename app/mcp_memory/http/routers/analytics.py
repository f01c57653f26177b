"""/api/analytics: figures for dashboards, in the shapes of the original service."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.http.answers import Json
from mcp_memory.http.dependencies import ContainerDep, MemoriesDep
from mcp_memory.http.known_fields import KNOWN
from mcp_memory.http.schemas.analytics import MemoryTypesOut, OverviewOut, TagUsageOut
from mcp_memory.http.schemas.common import READ, ReadStore
from mcp_memory.memories.requests import Conditions
from mcp_memory.memories.service import Memories

router = APIRouter(prefix="/api/analytics", tags=["analytics"], dependencies=KNOWN)

DAY = 86_400
DAYS = {"week": 7, "month": 30}


@router.get("/overview", response_model=OverviewOut, responses=READ)
async def overview(container: ContainerDep, store: ReadStore = DEFAULT_STORE) -> Json:
    """How many memories and tags there are, and how many memories are new."""
    memories = container.memories
    size = (await memories.storage_stats()).disk_data_size
    return Json(
        {
            "total_memories": await _count(memories, store, None),
            "memories_this_week": await _count(memories, store, _since("week")),
            "memories_this_month": await _count(memories, store, _since("month")),
            "unique_tags": len(await memories.tags(store)),
            "database_size_mb": None if size is None else round(size / 1_000_000, 2),
            "uptime_seconds": time.monotonic() - container.started,
            "backend_type": (await memories.health()).backend,
        }
    )


@router.get("/tag-usage", response_model=TagUsageOut, responses=READ)
async def tag_usage(
    memories: MemoriesDep,
    *,
    period: Annotated[
        Literal["week", "month", "all"], Query(description="Memories of the last 7 or 30 days, or all")
    ] = "all",
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    store: ReadStore = DEFAULT_STORE,
) -> Json:
    """The most frequent tags, and which part of the memories has them."""
    since = _since(period)
    total = await _count(memories, store, since)
    counts = list((await memories.tags(store, since=since)).items())[:limit]
    tags = [
        {"tag": tag, "count": count, "percentage": _percentage(count, total), "growth_rate": None}
        for tag, count in counts
    ]
    return Json({"tags": tags, "total_memories": total, "period": period})


@router.get("/memory-types", response_model=MemoryTypesOut, responses=READ)
async def memory_types(memories: MemoriesDep, store: ReadStore = DEFAULT_STORE) -> Json:
    """How many memories there are of each type; those without one are `untyped`."""
    total = await memories.count(Conditions(store=store))
    counts = await memories.types(store)
    untyped = total - sum(counts.values())
    everything = [*counts.items(), *([("untyped", untyped)] if untyped > 0 else [])]
    types = [
        {"memory_type": name, "count": count, "percentage": _percentage(count, total)}
        for name, count in sorted(everything, key=lambda item: -item[1])
    ]
    return Json({"types": types, "total_memories": total})


async def _count(memories: Memories, store: str, since: float | None) -> int:
    return await memories.count(Conditions(after=since, store=store))


def _since(period: str) -> float | None:
    days = DAYS.get(period)
    return None if days is None else time.time() - days * DAY


def _percentage(count: int, total: int) -> float:
    return round(100 * count / total, 1) if total else 0.0
