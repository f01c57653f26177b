"""A filter as SQL over our index: what is live, with normalised tags and types."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mcp_memory.domain.query import MemoryFilter, TagMatch


@dataclass(slots=True)
class Condition:
    """A WHERE clause on `mcp_points p` and its values."""

    clauses: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, clause: str, *values: Any) -> Condition:
        self.clauses.append(clause)
        self.values.extend(values)
        return self

    @property
    def sql(self) -> str:
        return " AND ".join(self.clauses) or "1"


def condition(where: MemoryFilter) -> Condition:
    made = Condition()
    tags = tuple(dict.fromkeys(where.tags))
    if where.tag_match is TagMatch.ALL:
        for tag in tags:
            made.add("EXISTS (SELECT 1 FROM mcp_tags t WHERE t.tag = ? AND t.id = p.id)", tag)
    elif tags:
        made.add(f"p.id IN (SELECT t.id FROM mcp_tags t WHERE t.tag IN ({', '.join('?' * len(tags))}))", *tags)
    if where.memory_type is not None:
        made.add("p.memory_type = ?", where.memory_type)
    if where.created_from is not None:
        made.add("p.created_at >= ?", where.created_from)
    if where.created_to is not None:
        made.add("p.created_at < ?", where.created_to)
    if where.store is not None:
        made.add("p.store = ?", where.store)
    if where.current_only:
        made.add("p.id NOT IN (SELECT s.id FROM mcp_superseded s)")
    if where.superseded_by is not None:
        made.add("p.id IN (SELECT s.id FROM mcp_superseded s WHERE s.superseded_by = ?)", where.superseded_by)
    return made
