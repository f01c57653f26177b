"""/api/tags and /api/types."""

from __future__ import annotations

from fastapi import APIRouter

from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.http.answers import Json
from mcp_memory.http.dependencies import MemoriesDep
from mcp_memory.http.known_fields import KNOWN
from mcp_memory.http.schemas.common import READ, ReadStore
from mcp_memory.http.schemas.health import TagsOut

router = APIRouter(prefix="/api", tags=["tags"], dependencies=KNOWN)


@router.get("/tags", response_model=TagsOut, responses=READ)
async def list_tags(memories: MemoriesDep, store: ReadStore = DEFAULT_STORE) -> Json:
    """Every tag with its number of memories, most frequent first."""
    counts = await memories.tags(store)
    return Json({"tags": [{"tag": tag, "count": count} for tag, count in counts.items()]})


@router.get("/types", response_model=list[str], responses=READ)
async def list_types(memories: MemoriesDep, store: ReadStore = DEFAULT_STORE) -> Json:
    """Every memory type, most frequent first."""
    return Json(list(await memories.types(store)))
