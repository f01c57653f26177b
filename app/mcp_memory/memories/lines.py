"""A line of an import as a memory: the memory object of the REST API, each line judged by itself."""

from __future__ import annotations

import json
from typing import Any

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.foreign import with_kept
from mcp_memory.domain.foreign_times import iso_seconds
from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.memories.requests import NewMemory

_FIELDS = frozenset({"content", "content_hash", "tags", "memory_type", "metadata", "store", "created_at", "updated_at"})
_COMPUTED = frozenset({"created_at_iso", "updated_at_iso"})


def memory_in(line: str) -> NewMemory:
    """Its fields as they stand; the use case checks them. Raises InvalidInputError for what is no memory object.

    An ISO time is read where there is no number beside it. Fields that no memory has are kept in its metadata, under `_imported`.
    """
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"not JSON: {error}") from error
    if not isinstance(value, dict) or "content" not in value:
        raise InvalidInputError("not a memory: an object with `content`", field="content")
    metadata = value.get("metadata")
    if metadata is None:
        metadata = {}
    others = {name: item for name, item in value.items() if name not in _FIELDS | _COMPUTED}
    if others and isinstance(metadata, dict):
        metadata = with_kept(metadata, others)
    return NewMemory(
        content=value["content"],
        tags=value.get("tags"),
        memory_type=value.get("memory_type"),
        metadata=metadata,
        store=value.get("store", DEFAULT_STORE),
        created_at=_time(value, "created_at"),
        updated_at=_time(value, "updated_at"),
        content_hash=value.get("content_hash"),
    )


def _time(value: dict[str, Any], name: str) -> Any:
    if value.get(name) is not None:
        return value[name]
    iso = value.get(f"{name}_iso")
    if iso is None:
        return None
    seconds = iso_seconds(iso)
    if seconds is None:
        raise InvalidInputError(f"{name}_iso is no ISO 8601 time: {iso!r:.80}.", field=f"{name}_iso")
    return seconds
