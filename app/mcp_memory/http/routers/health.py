"""/api/health and the probes /livez and /readyz."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request

from mcp_memory import __version__
from mcp_memory.build import build_info
from mcp_memory.container import Container
from mcp_memory.http.answers import Json
from mcp_memory.http.dependencies import ContainerDep
from mcp_memory.http.schemas.common import EVERYWHERE, problems
from mcp_memory.http.schemas.health import DetailedHealthOut, HealthOut, ModelHealthOut, ProbeOut
from mcp_memory.storage.base import StorageHealth

router = APIRouter(prefix="/api/health", tags=["health"])
probes = APIRouter(tags=["health"])


@router.get("", response_model=HealthOut, responses={503: {"model": HealthOut, "description": "Degraded"}})
async def health(container: ContainerDep) -> Json:
    """Whether the storage answers a real query. Needs no key."""
    state = await container.memories.health()
    body = {
        "status": "ok" if state.healthy else "degraded",
        "storage": {
            "backend": state.backend,
            "status": "healthy" if state.healthy else "unhealthy",
            "collections": state.collections,
            "vector_dimensions": state.vector_dimensions,
        },
    }
    return Json(body, status_code=200 if state.healthy else 503)


@router.get("/detailed", response_model=DetailedHealthOut, responses=EVERYWHERE)
async def detailed_health(container: ContainerDep) -> Json:
    """Figures for operators."""
    state = await container.memories.health()
    uptime = time.monotonic() - container.started
    statistics = await _statistics(container) if state.healthy else {}
    identity = container.embedder.identity
    size = statistics.get("disk_data_size", 0)
    return Json(
        {
            "status": "healthy" if state.healthy else "degraded",
            "version": __version__,
            "timestamp": datetime.now(UTC).isoformat(),
            "uptime_seconds": uptime,
            "storage": {
                "backend": state.backend,
                "status": "healthy" if state.healthy else "unhealthy",
                "accessible": state.healthy,
                "message": state.message,
                "embedding_model": identity.name,
                "embedding_dimension": identity.dimensions,
                "total_memories": statistics.get("total_memories"),
                "unique_tags": statistics.get("unique_tags"),
                "memories_this_week": statistics.get("memories_this_week"),
                "database_size_bytes": size,
                "database_size_mb": round(size / 1_000_000, 2),
            },
            "system": _system(container, state),
            "performance": {"uptime_seconds": uptime, "uptime_hours": round(uptime / 3600, 2)},
            "statistics": {**statistics, "database_size_mb": round(size / 1_000_000, 2), "backend": state.backend},
            "build": build_info(),
        }
    )


@router.get("/model", response_model=ModelHealthOut, responses=EVERYWHERE)
async def model_health(container: ContainerDep) -> Json:
    """Which embedding model answers."""
    identity = container.embedder.identity
    return Json(
        {
            "status": "healthy",
            "embedding_model": identity.name,
            "embedding_dimension": identity.dimensions,
            "backend": (await container.memories.health()).backend,
            "model": identity.name,
            "dimensions": identity.dimensions,
            "fingerprint": identity.fingerprint,
        }
    )


@probes.get("/livez", response_model=ProbeOut)
async def livez() -> Json:
    """The process answers. Needs no key."""
    return Json({"status": "ok"})


@probes.get("/readyz", response_model=ProbeOut, responses=problems(503))
async def readyz(container: ContainerDep, request: Request) -> Json:
    """The storage answers a real, cheap query, and nothing keeps /mcp from answering. Needs no key."""
    state = await container.memories.health()
    without_mcp = request.app.state.mcp.failure is not None
    if state.healthy and not without_mcp:
        return Json({"status": "ok"})
    message = "The storage does not answer." if not state.healthy else "MCP can't be served now; the log says why."
    body = {"detail": "Not ready", "error": {"code": "not_ready", "message": message}}
    return Json(body, status_code=503, headers={"Retry-After": "1"})


async def _statistics(container: Container) -> dict[str, Any]:
    figures = await container.memories.statistics()
    return {
        "total_memories": figures.total_memories,
        "unique_tags": figures.unique_tags,
        "memories_this_week": figures.memories_this_week,
        "stores": dict(figures.stores),
        "disk_data_size": figures.disk_data_size,
    }


def _system(container: Container, state: StorageHealth) -> dict[str, Any]:
    """Load of the machine, where the platform tells it without another dependency."""
    system: dict[str, Any] = {"memory_percent": _memory_percent(), "disk_percent": None}
    if state.healthy and container.folder is not None:
        usage = shutil.disk_usage(container.folder)
        system["disk_percent"] = round(100 * usage.used / usage.total, 1)
    return system


def _memory_percent() -> float | None:
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    fields = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
    total, available = (int(fields[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return round(100 * (total - available) / total, 1)
