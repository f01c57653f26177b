"""An answer that is as long as what it finds: written while it is read, so that its length bounds nothing here."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import orjson
from starlette.responses import Response, StreamingResponse

from mcp_memory.domain.memory import Memory, ScoredMemory
from mcp_memory.http.answers import JSON, REASONS, Json, hit_json
from mcp_memory.memories.listing import SLICE
from mcp_memory.memories.requests import Conditions
from mcp_memory.memories.service import Memories


async def everything(memories: Memories, conditions: Conditions) -> Response:
    """All memories that meet the conditions, newest first, in the shape of a search by tag.

    The first page is asked for before the answer begins: a storage that fails is answered with 503. One that fails later cuts
    the answer off before its last chunk, which every HTTP client reports.
    """
    started = time.perf_counter()
    pages = memories.all_pages(conditions)
    first: list[Memory] = await anext(pages, [])
    if len(first) < SLICE:
        return Json({"results": [_hit(memory) for memory in first], **_rest(len(first), started)})
    return StreamingResponse(_written(first, pages, started), media_type=JSON)


async def _written(first: list[Memory], pages: AsyncIterator[list[Memory]], started: float) -> AsyncIterator[bytes]:
    yield b'{"results":[' + b",".join(orjson.dumps(_hit(memory)) for memory in first)
    count = len(first)
    async for page in pages:
        count += len(page)
        yield b"".join(b"," + orjson.dumps(_hit(memory)) for memory in page)
    yield b"]," + orjson.dumps(_rest(count, started))[1:]


def _hit(memory: Memory) -> dict[str, object]:
    return hit_json(ScoredMemory(memory, 1.0, None), REASONS["tag"])


def _rest(count: int, started: float) -> dict[str, object]:
    milliseconds = round((time.perf_counter() - started) * 1000, 3)
    return {"total_found": count, "query": "", "search_type": "tag", "processing_time_ms": milliseconds}
