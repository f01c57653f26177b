"""Records that hold a `document` and what is known of it: the original's older backups, Chroma, mcp-server-qdrant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_memory.domain.foreign import RawMemory
from mcp_memory.domain.foreign_times import RawTimes

DOCUMENT = "document"
_LIFTED = frozenset(
    {
        "content_hash",
        "tags",
        "tags_str",
        "type",
        "memory_type",
        "store",
        "timestamp",
        "timestamp_float",
        "timestamp_str",
    }
    | {"created_at", "created_at_iso", "updated_at", "updated_at_iso"}
)
"""Keys of the flat metadata that fields of a memory have."""


def is_document(record: Mapping[str, Any]) -> bool:
    return DOCUMENT in record and "content" not in record


def backed_up(record: Mapping[str, Any]) -> RawMemory:
    """Of {id, document, metadata}, where every field of the memory but its text stands in the flat metadata."""
    given = record.get("metadata")
    if not isinstance(given, dict):
        return RawMemory(content=record[DOCUMENT], content_hash=record.get("id"), metadata=given)
    get = given.get
    created = _first(given, "created_at", "timestamp_float", "timestamp")
    created_iso = _first(given, "created_at_iso", "timestamp_str")
    return RawMemory(
        content=record[DOCUMENT],
        content_hash=get("content_hash") or record.get("id"),
        tags=_first(given, "tags", "tags_str"),
        memory_type=_first(given, "memory_type", "type"),
        metadata={name: value for name, value in given.items() if name not in _LIFTED},
        times=RawTimes(created, get("updated_at"), created_iso, get("updated_at_iso")),
        store=get("store"),
    )


def found_text(payload: Mapping[str, Any]) -> RawMemory:
    """Of mcp-server-qdrant's {document, metadata}: the metadata is its client's and stays whole; tags in it are tags too."""
    given = payload.get("metadata")
    known = given if isinstance(given, dict) else {}
    return RawMemory(
        content=payload[DOCUMENT],
        tags=known.get("tags") if isinstance(known.get("tags"), str | list) else None,
        memory_type=known.get("memory_type") if isinstance(known.get("memory_type"), str) else None,
        metadata=given,
        times=RawTimes(known.get("created_at"), known.get("updated_at"), None, None),
        homeless={str(name): value for name, value in payload.items() if name not in {DOCUMENT, "metadata"}},
    )


def _first(given: Mapping[str, Any], *names: str) -> Any:
    return next((given[name] for name in names if given.get(name) not in (None, "")), None)
