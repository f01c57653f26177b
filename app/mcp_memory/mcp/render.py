"""Memories as a model reads them (numbered blocks) and as JSON objects (the field names of REST)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mcp_memory.domain.memory import Memory, ScoredMemory

_CUT = " [...]"


def document(value: Mapping[str, Any]) -> str:
    """A JSON document for a text answer."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def memory_object(memory: Memory) -> dict[str, Any]:
    """All of a memory; `memory_type` is left out where there is none, so that no field has two types."""
    return {
        "content": memory.content,
        "content_hash": memory.content_hash,
        "tags": list(memory.tags),
        **({} if memory.memory_type is None else {"memory_type": memory.memory_type}),
        "metadata": dict(memory.metadata),
        "store": memory.store,
        "created_at": memory.created_at,
        "created_at_iso": memory.created_at_iso,
        "updated_at": memory.updated_at,
        "updated_at_iso": memory.updated_at_iso,
    }


def hit_object(hit: ScoredMemory) -> dict[str, Any]:
    """A memory with its scores; `similarity_score` is left out where no query vector took part."""
    similarity = {} if hit.similarity_score is None else {"similarity_score": round(hit.similarity_score, 6)}
    return {**memory_object(hit.memory), **similarity, "score": round(hit.score, 6)}


def block(position: int, hit: ScoredMemory) -> str:
    """One numbered block: content, hash, time, type, tags."""
    memory = hit.memory
    lines = [f"{position}. {memory.content}", f"   Hash: {memory.content_hash}", f"   Created: {memory.created_at_iso}"]
    if hit.similarity_score is not None:
        lines.append(f"   Similarity: {hit.similarity_score:.2f}")
    if memory.memory_type is not None:
        lines.append(f"   Type: {memory.memory_type}")
    if memory.tags:
        lines.append(f"   [{', '.join(memory.tags)}]")
    return "\n".join(lines)


def fitting(hits: Sequence[ScoredMemory], max_chars: int) -> list[ScoredMemory]:
    """The first hits whose blocks take at most `max_chars` (0: all). The first one always stays, cut where it is too long."""
    if max_chars <= 0 or not hits:
        return list(hits)
    kept: list[ScoredMemory] = []
    left = max_chars
    for position, hit in enumerate(hits, 1):
        size = len(block(position, hit)) + 2
        if size > left:
            break
        kept.append(hit)
        left -= size
    return kept or [_shortened(hits[0], max_chars)]


def _shortened(hit: ScoredMemory, max_chars: int) -> ScoredMemory:
    overhead = len(block(1, hit)) - len(hit.memory.content) + len(_CUT) + 2
    content = hit.memory.content[: max(max_chars - overhead, 40)]
    return replace(hit, memory=replace(hit.memory, content=content + _CUT))


def hits_text(headline: str, hits: Sequence[ScoredMemory], *, left_out: int = 0) -> str:
    """The headline, then the numbered blocks."""
    parts = [headline, *(block(position, hit) for position, hit in enumerate(hits, 1))]
    if left_out:
        parts.append(f"({left_out} more left out: max_response_chars)")
    return "\n\n".join(parts)
