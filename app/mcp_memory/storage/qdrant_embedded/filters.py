"""A MemoryFilter in the engine's terms."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge

from mcp_memory.domain.query import MemoryFilter, TagMatch


def to_filter(where: MemoryFilter, *, without: str | None = None, among: set[str] | None = None) -> edge.Filter | None:
    """The engine's filter; None where everything matches. `without` and `among` are point ids."""
    must: list[Any] = []
    if where.tags:
        if where.tag_match is TagMatch.ANY:
            must.append(edge.FieldCondition("tags", match=edge.MatchAny(list(where.tags))))
        else:
            must.extend(edge.FieldCondition("tags", match=edge.MatchValue(tag)) for tag in where.tags)
    if where.memory_type is not None:
        must.append(edge.FieldCondition("memory_type", match=edge.MatchValue(where.memory_type)))
    if where.store is not None:
        must.append(edge.FieldCondition("store", match=edge.MatchValue(where.store)))
    if where.created_from is not None or where.created_to is not None:
        span = edge.RangeFloat(gte=where.created_from, lt=where.created_to)
        must.append(edge.FieldCondition("created_at", range=span))
    if among is not None:
        must.append(edge.HasIdCondition(set(among)))
    must_not: list[Any] | None = None if without is None else [edge.HasIdCondition({without})]
    return edge.Filter(must=must, must_not=must_not) if must or must_not else None
