"""A row of the original's table as a memory, and a memory as a row."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from mcp_memory.domain.checks import check_metadata
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.foreign import RawMemory, convert
from mcp_memory.domain.foreign_times import RawTimes
from mcp_memory.domain.memory import Memory, iso

COLUMNS = ", ".join(
    [
        "p.id",
        # A row of the original's may hold what isn't UTF-8.
        *(
            f"CASE p.ours WHEN 1 THEN m.{name} ELSE CAST(m.{name} AS BLOB) END"
            for name in ("content", "content_hash", "tags", "memory_type", "metadata")
        ),
        "m.created_at, m.updated_at, p.point_id, p.store, p.revision, p.ours, p.created_at",
    ]
)
"""What `read_row` takes, of `mcp_points p JOIN memories m`."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    rowid: int
    point_id: str
    memory: Memory


def read_row(row: tuple[Any, ...]) -> StoredRow:
    """A memory that this service wrote as it was; one of the original by the rules for foreign records."""
    rowid, content, hash_, tags, memory_type, metadata, created_at, updated_at = row[:8]
    point_id, store, revision, ours, time = row[8:]
    parsed = _metadata(metadata) if ours else None
    if parsed is None:
        raw = RawMemory(content, hash_, tags, memory_type, metadata, RawTimes(created_at, updated_at), store)
        memory, _ = convert(raw, fallback_time=time)
        memory = replace(memory, created_at=time, store=store, revision=revision)
    else:
        memory = Memory(
            content=content,
            content_hash=hash_,
            created_at=created_at,
            updated_at=updated_at,
            tags=tuple(tags.split(",")) if tags else (),
            memory_type=memory_type,
            metadata=parsed,
            store=store,
            revision=revision,
        )
    return StoredRow(rowid, point_id, memory)


def values_of(memory: Memory) -> dict[str, Any]:
    """Column values, by name, as the original writes them; columns that a database lacks are left out by the caller."""
    return {
        "content_hash": memory.content_hash,
        "content": memory.content,
        "tags": ",".join(memory.tags),
        "memory_type": memory.memory_type,
        "metadata": json.dumps(memory.metadata),
        "created_at": memory.created_at,
        "updated_at": memory.updated_at,
        "created_at_iso": iso(memory.created_at),
        "updated_at_iso": iso(memory.updated_at),
        "store": memory.store,
    }


def _metadata(text: object) -> dict[str, Any] | None:
    """None where the original has since written something that needs the rules for foreign records."""
    try:
        return check_metadata(json.loads(text), imported=True) if isinstance(text, str) else None
    except (ValueError, RecursionError, InvalidInputError):
        return None
