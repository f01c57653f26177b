"""/api/storage: sizes and index state."""

from __future__ import annotations

from fastapi import APIRouter

from mcp_memory.http.answers import Json
from mcp_memory.http.dependencies import MemoriesDep
from mcp_memory.http.known_fields import KNOWN
from mcp_memory.http.schemas.health import StorageStatsOut

router = APIRouter(prefix="/api/storage", tags=["storage"], dependencies=KNOWN)


@router.get("/stats", response_model=StorageStatsOut)
async def storage_stats(memories: MemoriesDep) -> Json:
    """Counts and sizes. `indexed_vectors_count < vectors_count` means that indexing goes on."""
    stats = await memories.storage_stats()
    return Json(
        {
            "vectors_count": stats.vectors_count,
            "indexed_vectors_count": stats.indexed_vectors_count,
            "disk_data_size": stats.disk_data_size,
            "ram_data_size": stats.ram_data_size,
            "details": dict(stats.details),
        }
    )
