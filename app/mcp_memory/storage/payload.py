"""A memory as a point's payload, the same in every Qdrant, and back. ISO forms of times are computed, not stored.

Qdrant keeps payloads as JSON and reads numbers back by a quick parser, which can be off by one unit in the last place for floats
of more than 15 digits (1750314532.2421799 came back as 1750314532.24218). So times are kept to the microsecond, which always
survives, and metadata that holds such a float is kept as a text beside itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp_memory.domain.memory import DEFAULT_STORE, SUPERSEDED_BY, JsonValue, Memory

SUPERSEDED_KEY = f"metadata.{SUPERSEDED_BY}"
"""Where a point says which memory superseded it; indexed."""
MICROSECOND = 1e-6
EXACT_METADATA = "metadata_json"
"""Payload key of the metadata as JSON text, only there where the object itself would lose a bit."""


def to_payload(memory: Memory) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "content": memory.content,
        "content_hash": memory.content_hash,
        "tags": list(memory.tags),
        "memory_type": memory.memory_type,
        "created_at": to_microseconds(memory.created_at),
        "updated_at": to_microseconds(memory.updated_at),
        "store": memory.store,
        "revision": memory.revision,
    }
    set_metadata(payload, memory.metadata)
    return payload


def from_payload(payload: Mapping[str, Any]) -> Memory:
    """Raises KeyError where the payload isn't a memory's: such a point came from elsewhere."""
    return Memory(
        content=payload["content"],
        content_hash=payload["content_hash"],
        created_at=float(payload["created_at"]),
        updated_at=float(payload["updated_at"]),
        tags=tuple(payload.get("tags") or ()),
        memory_type=payload.get("memory_type"),
        metadata=metadata_of(payload),
        store=payload.get("store", DEFAULT_STORE),
        revision=int(payload.get("revision", 1)),
    )


def to_microseconds(seconds: float) -> float:
    """The time to the microsecond: sixteen digits below 2**53, which every JSON parser reads exactly (until 2255)."""
    return round(float(seconds), 6)


def time_bound(seconds: float | None) -> float | None:
    """The first whole microsecond that isn't before the time. It parts stored times, which are whole microseconds, just as the
    time itself does, and a server reads it exactly: 1750099210.9880981 as a bound let a memory in that lies before it."""
    if seconds is None:
        return None
    rounded = to_microseconds(seconds)
    return rounded if rounded >= seconds else to_microseconds(rounded + MICROSECOND)


def metadata_of(payload: Mapping[str, Any]) -> dict[str, JsonValue]:
    exact = payload.get(EXACT_METADATA)
    metadata: dict[str, JsonValue] = json.loads(exact) if exact is not None else dict(payload.get("metadata") or {})
    return metadata


def set_metadata(payload: dict[str, Any], metadata: Mapping[str, JsonValue]) -> None:
    payload["metadata"] = dict(metadata)
    payload.pop(EXACT_METADATA, None)
    if _fragile(payload["metadata"]):
        payload[EXACT_METADATA] = json.dumps(payload["metadata"], ensure_ascii=False, separators=(",", ":"))


def _fragile(value: JsonValue) -> bool:
    """Whether a float in the value has more digits than a quick parser reads exactly."""
    if isinstance(value, float):
        text = repr(value)
        return "e" in text or abs(value) >= 1e15 or len(text.lstrip("-").replace(".", "").strip("0")) > 15
    if isinstance(value, dict):
        return any(map(_fragile, value.values()))
    return isinstance(value, list) and any(map(_fragile, value))
