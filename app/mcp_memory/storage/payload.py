"""A memory as a point's payload, the same in every Qdrant, and back. ISO forms of times are computed, not stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_memory.domain.memory import DEFAULT_STORE, Memory


def to_payload(memory: Memory) -> dict[str, Any]:
    return {
        "content": memory.content,
        "content_hash": memory.content_hash,
        "tags": list(memory.tags),
        "memory_type": memory.memory_type,
        "metadata": dict(memory.metadata),
        "created_at": float(memory.created_at),
        "updated_at": float(memory.updated_at),
        "store": memory.store,
        "revision": memory.revision,
    }


def from_payload(payload: Mapping[str, Any]) -> Memory:
    """Raises KeyError where the payload isn't a memory's: such a point came from elsewhere."""
    return Memory(
        content=payload["content"],
        content_hash=payload["content_hash"],
        created_at=float(payload["created_at"]),
        updated_at=float(payload["updated_at"]),
        tags=tuple(payload.get("tags") or ()),
        memory_type=payload.get("memory_type"),
        metadata=payload.get("metadata") or {},
        store=payload.get("store", DEFAULT_STORE),
        revision=int(payload.get("revision", 1)),
    )
