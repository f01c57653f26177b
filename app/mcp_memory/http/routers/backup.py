"""/api/backup: everything that is stored, for a backup job that shares no volume with the service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from mcp_memory.domain.memory import Memory
from mcp_memory.http.answers import memory_json
from mcp_memory.http.dependencies import MemoriesDep
from mcp_memory.http.known_fields import KNOWN, NO_BODY
from mcp_memory.http.schemas.common import problems

router = APIRouter(prefix="/api/backup", tags=["backup"], dependencies=KNOWN)
MEDIA_TYPE = "application/x-ndjson"
CHUNK_BYTES = 65_536


@router.post(
    "",
    dependencies=NO_BODY,
    response_class=Response,
    responses=problems(415)
    | {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "One memory a line"}},
)
async def backup(memories: MemoriesDep) -> Response:
    """All memories of every store as JSON lines, which `memory import` takes in. Texts and metadata, no vectors.

    Memories that are written meanwhile may be in it or not. An answer that ends without its last chunk is incomplete.
    """
    items = memories.export()
    # Asked for before the answer begins: a storage that fails is answered with 503, not with an empty backup.
    first = await anext(items, None)
    return StreamingResponse(_lines(first, items), media_type=MEDIA_TYPE)


async def _lines(first: Memory | None, items: AsyncIterator[Memory]) -> AsyncIterator[bytes]:
    if first is None:
        return
    chunk = bytearray(_line(first))
    async for memory in items:
        chunk += _line(memory)
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)


def _line(memory: Memory) -> bytes:
    return orjson.dumps(memory_json(memory), option=orjson.OPT_APPEND_NEWLINE)
