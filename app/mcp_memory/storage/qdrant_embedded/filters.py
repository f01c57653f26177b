"""A MemoryFilter in the engine's terms."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge

from mcp_memory.domain.query import MemoryFilter, TagMatch
from mcp_memory.storage.payload import SUPERSEDED_KEY


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
    if where.superseded_by is not None:
        must.append(edge.FieldCondition(SUPERSEDED_KEY, match=edge.MatchValue(where.superseded_by)))
    if among is not None:
        must.append(edge.HasIdCondition(set(among)))
    must_not: list[Any] = []
    if where.current_only:
        # Any value but a blank one. Over 40,000 memories a search takes 1.5 ms longer with it, 9.6 with IsEmptyCondition.
        must_not.append(edge.FieldCondition(SUPERSEDED_KEY, match=edge.MatchExcept([""])))
    if without is not None:
        must_not.append(edge.HasIdCondition({without}))
    return edge.Filter(must=must, must_not=must_not or None) if must or must_not else None
