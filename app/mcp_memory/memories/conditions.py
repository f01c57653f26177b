"""Conditions as written become the filter that a storage understands."""

from __future__ import annotations

from datetime import tzinfo

from mcp_memory.domain.checks import check_memory_type, check_store_choice
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.query import EVERYTHING, MemoryFilter, TagMatch
from mcp_memory.domain.tags import parse_tags
from mcp_memory.domain.timerange import TimeRange, parse_instant, parse_time_range
from mcp_memory.memories.requests import Conditions, RawTime


def to_filter(conditions: Conditions | None, *, now: float, zone: tzinfo) -> MemoryFilter:
    """The filter for these conditions; times that are given several ways all hold. Raises InvalidInputError."""
    if conditions is None:
        return EVERYTHING
    after = _instant(conditions.after, "after", now, zone)
    before = _instant(conditions.before, "before", now, zone)
    if after is not None and before is not None and after >= before:
        raise InvalidInputError("after must be earlier than before.", field="after")
    expression = conditions.time_expr
    named = parse_time_range(expression, now, zone) if expression and expression.strip() else TimeRange(None, None)
    return MemoryFilter(
        tags=parse_tags(conditions.tags),
        tag_match=_tag_match(conditions.tag_match),
        memory_type=check_memory_type(conditions.memory_type),
        created_from=max((bound for bound in (after, named.start) if bound is not None), default=None),
        created_to=min((bound for bound in (before, named.end) if bound is not None), default=None),
        store=check_store_choice(conditions.store),
    )


def selects(where: MemoryFilter) -> bool:
    """Whether something besides a store narrows the filter."""
    return where != MemoryFilter(tag_match=where.tag_match, store=where.store)


def _instant(value: RawTime, field: str, now: float, zone: tzinfo) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return parse_instant(value, now, zone, field=field)


def _tag_match(text: str) -> TagMatch:
    try:
        return TagMatch(text.strip().lower())
    except ValueError:
        raise InvalidInputError(f"tag_match is any or all, got {text[:80]!r}.", field="tag_match") from None
