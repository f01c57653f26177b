"""Conditions as written become the filter that a storage understands."""

from __future__ import annotations

from dataclasses import replace
from datetime import tzinfo

from mcp_memory.domain.checks import check_memory_type, check_store_choice
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.query import EVERYTHING, MemoryFilter, TagMatch
from mcp_memory.domain.tags import parse_tags
from mcp_memory.domain.timerange import TimeRange, parse_instant, parse_time_range
from mcp_memory.memories.requests import Conditions, RawTime


def to_filter(conditions: Conditions | None, *, now: float, zone: tzinfo, deleting: bool = False) -> MemoryFilter:
    """The filter for these conditions; times that are given several ways all hold. Raises InvalidInputError.

    For `deleting` it is as narrow as the words allow: `after` a day begins with the next one, as in the original service
    (decisions/narrow-deletions.md).
    """
    if conditions is None:
        return EVERYTHING
    after = _instant(conditions.after, "after", now, zone, behind=deleting)
    before = _instant(conditions.before, "before", now, zone)
    if after is not None and before is not None and after >= before:
        raise InvalidInputError("after must be earlier than before.", field="after")
    expression = conditions.time_expr
    named = parse_time_range(expression, now, zone) if expression and expression.strip() else TimeRange(None, None)
    if conditions.open_ended and named.start is not None:
        named = TimeRange(named.start, None)
    return MemoryFilter(
        tags=parse_tags(conditions.tags),
        tag_match=_tag_match(conditions.tag_match),
        memory_type=check_memory_type(conditions.memory_type),
        created_from=max((bound for bound in (after, named.start) if bound is not None), default=None),
        created_to=min((bound for bound in (before, named.end) if bound is not None), default=None),
        store=check_store_choice(conditions.store),
        current_only=not conditions.include_superseded,
    )


def selects(where: MemoryFilter) -> bool:
    """Whether something besides a store narrows the filter."""
    return not replace(where, store=None).empty


def refuse_blanks(conditions: Conditions) -> None:
    """For what deletes: a condition that is given and empty is a mistake, and leaving it out would delete more than was meant."""
    given = {
        "tags": conditions.tags,
        "memory_type": conditions.memory_type,
        "after": conditions.after,
        "before": conditions.before,
        "time_expr": conditions.time_expr,
        "store": conditions.store,
    }
    for field, value in given.items():
        blank = not parse_tags(conditions.tags) if field == "tags" else isinstance(value, str) and not value.strip()
        if blank and value is not None:
            raise InvalidInputError(
                f"The condition {field} is given and empty, so nothing was deleted. Leave it out, or fill it in.",
                field=field,
            )


def _instant(value: RawTime, field: str, now: float, zone: tzinfo, *, behind: bool = False) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if field == "after" and not isinstance(value, bool) and value in (0, "0"):
        return None  # Older clients send 0 for "from the beginning", which is no condition.
    return parse_instant(value, now, zone, field=field, behind=behind)


def _tag_match(text: str) -> TagMatch:
    try:
        return TagMatch(text.strip().lower())
    except ValueError:
        raise InvalidInputError(f"tag_match is any or all, got {text[:80]!r}.", field="tag_match") from None
