"""JSON answers, written by orjson from plain dicts.

Routers return these directly: the shapes are promised by `response_model` in the OpenAPI document and held to it by tests, so
that a search doesn't pay for a second validation of what the storage has validated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from starlette.responses import JSONResponse

from mcp_memory.domain.memory import Memory, ScoredMemory
from mcp_memory.memories.requests import SearchAnswer

JSON = "application/json; charset=utf-8"
REASONS = {
    "hybrid": "Meaning and words",
    "semantic": "Semantic similarity",
    "keyword": "Words (BM25)",
    "exact": "Contains the text",
    "tag": "Tag match",
    "time": "Time range",
    "similar": "Similar memory",
}


class Json(JSONResponse):
    """A JSON answer. It names its encoding: without that, older PowerShell reads JSON as Latin-1."""

    media_type = JSON

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def memory_json(memory: Memory) -> dict[str, Any]:
    """The memory object of the REST API, of export files and of MCP's structured answers."""
    return {
        "content": memory.content,
        "content_hash": memory.content_hash,
        "tags": list(memory.tags),
        "memory_type": memory.memory_type,
        "metadata": dict(memory.metadata),
        "created_at": memory.created_at,
        "created_at_iso": memory.created_at_iso,
        "updated_at": memory.updated_at,
        "updated_at_iso": memory.updated_at_iso,
        "store": memory.store,
    }


def memories_json(memories: Iterable[Memory]) -> list[dict[str, Any]]:
    return [memory_json(memory) for memory in memories]


def hit_json(hit: ScoredMemory, reason: str) -> dict[str, Any]:
    return {
        "memory": memory_json(hit.memory),
        "similarity_score": hit.similarity_score,
        "relevance_reason": reason,
        "score": hit.score,
    }


def search_json(answer: SearchAnswer) -> dict[str, Any]:
    reason = REASONS.get(answer.mode, answer.mode)
    return {
        "results": [hit_json(hit, reason) for hit in answer.hits],
        "total_found": answer.total,
        "query": answer.query,
        "search_type": answer.mode,
        "processing_time_ms": round(answer.milliseconds, 3),
    }
