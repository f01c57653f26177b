"""/api/tags and /api/types."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from mcp_memory.http.answers import Json
from mcp_memory.http.dependencies import MemoriesDep
from mcp_memory.http.schemas.common import READ
from mcp_memory.http.schemas.health import TagsOut

router = APIRouter(prefix="/api", tags=["tags"])
StoreQuery = Annotated[str | None, Query(description="Named store; `all` or nothing means every store")]


@router.get("/tags", response_model=TagsOut, responses=READ)
async def list_tags(memories: MemoriesDep, store: StoreQuery = None) -> Json:
    """Every tag with its number of memories, most frequent first."""
    counts = await memories.tags(store)
    return Json({"tags": [{"tag": tag, "count": count} for tag, count in counts.items()]})


@router.get("/types", response_model=list[str], responses=READ)
async def list_types(memories: MemoriesDep, store: StoreQuery = None) -> Json:
    """Every memory type, most frequent first."""
    return Json(list(await memories.types(store)))
