"""/internal: what the `memory` command asks of its owner beyond REST. Over the local socket only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from mcp_memory.http.answers import Json, memory_json
from mcp_memory.http.dependencies import MemoriesDep, require_unix_socket
from mcp_memory.memories.requests import Conditions

router = APIRouter(prefix="/internal", include_in_schema=False, dependencies=[Depends(require_unix_socket)])
EXPORT_BYTES = 1_000_000
"""A page of an export ends behind this size, so that neither side holds much."""


class ImportIn(BaseModel):
    lines: Annotated[list[str], Field(max_length=1000)]
    """Each the memory object of the REST API as JSON: one that is none must not cost the others."""
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
    """A page of memories as JSON lines, in order of point id, superseded ones with them: nothing that is stored is left out.

    An empty page is the end; else go on behind the last id.
    """
    conditions = Conditions(tag, tag_match, memory_type, after, before, time_expr, store, include_superseded=True)
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
    report = await memories.import_lines(request.lines, overwrite=request.overwrite)
    return Json(asdict(report))


@router.post("/optimize")
async def optimize(memories: MemoriesDep) -> Json:
    """Bring indexes to the state the collection's size asks for."""
    return Json(asdict(await memories.optimize()))


@router.get("/recall")
async def recall(memories: MemoriesDep, samples: Annotated[int, Query(ge=1, le=10_000)] = 100) -> Json:
    """recall@10 of searches against an exact scan."""
    return Json(asdict(await memories.measure_recall(samples)))
