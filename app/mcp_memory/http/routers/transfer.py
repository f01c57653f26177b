"""/internal: what the `memory` command asks of its owner beyond REST. Over the local socket only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.http.answers import Json, memory_json
from mcp_memory.http.dependencies import MemoriesDep, require_unix_socket
from mcp_memory.http.schemas.common import Tags
from mcp_memory.memories.requests import Conditions, NewMemory

router = APIRouter(prefix="/internal", include_in_schema=False, dependencies=[Depends(require_unix_socket)])
EXPORT_BYTES = 1_000_000
"""A page of an export ends behind this size, so that neither side holds much."""


class ImportedMemory(BaseModel):
    """The memory object of the REST API; hash and times are kept verbatim."""

    content: str
    content_hash: str | None = None
    tags: Tags = None
    memory_type: str | None = None
    metadata: dict[str, Any] | None = None
    store: str = DEFAULT_STORE
    created_at: float | None = None
    updated_at: float | None = None

    def to_new(self) -> NewMemory:
        return NewMemory(**self.model_dump() | {"metadata": self.metadata or {}})


class ImportIn(BaseModel):
    memories: Annotated[list[ImportedMemory], Field(max_length=1000)]
    overwrite: bool = False


@router.get("/export")
async def export(
    memories: MemoriesDep,
    *,
    after_id: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
    tag: str | None = None,
    tag_match: str = "any",
    memory_type: str | None = None,
    after: str | None = None,
    before: str | None = None,
    time_expr: str | None = None,
    store: str = "all",
) -> Response:
    """A page of memories as JSON lines, in order of point id. An empty page is the end; else go on behind the last id."""
    conditions = Conditions(tag, tag_match, memory_type, after, before, time_expr, store)
    lines: list[bytes] = []
    size, last = 0, ""
    async for memory in memories.export(conditions, after_id=None if after_id is None else str(after_id)):
        line = orjson.dumps(memory_json(memory), option=orjson.OPT_APPEND_NEWLINE)
        lines.append(line)
        size, last = size + len(line), memory.id
        if len(lines) >= limit or size >= EXPORT_BYTES:
            break
    return Response(
        b"".join(lines),
        media_type="application/x-ndjson",
        headers={"X-Last-Id": last, "X-Count": str(len(lines))},
    )


@router.post("/import")
async def import_memories(memories: MemoriesDep, request: ImportIn) -> Json:
    """Take memories in as they are; a hash that is there stays unless `overwrite`."""
    report = await memories.import_many([memory.to_new() for memory in request.memories], overwrite=request.overwrite)
    return Json(asdict(report))


@router.post("/optimize")
async def optimize(memories: MemoriesDep) -> Json:
    """Bring indexes to the state the collection's size asks for."""
    return Json(asdict(await memories.optimize()))


@router.get("/recall")
async def recall(memories: MemoriesDep, samples: Annotated[int, Query(ge=1, le=10_000)] = 100) -> Json:
    """recall@10 of searches against an exact scan."""
    return Json(asdict(await memories.measure_recall(samples)))
