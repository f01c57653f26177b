"""A MemoryFilter in the server's terms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mcp_memory.domain.query import MemoryFilter, TagMatch
from mcp_memory.storage.payload import SUPERSEDED_KEY, time_bound

if TYPE_CHECKING:
    from qdrant_client.models import Filter


def to_filter(
    where: MemoryFilter,
    *,
    without: str | None = None,
    among: Iterable[str] | None = None,
    also: Iterable[Any] = (),
) -> Filter | None:
    """The server's filter; None where everything matches. `without` and `among` are point ids, `also` further conditions."""
    from qdrant_client import models  # noqa: PLC0415

    def equal(key: str, value: str) -> Any:
        return models.FieldCondition(key=key, match=models.MatchValue(value=value))

    must: list[Any] = []
    if where.tags and where.tag_match is TagMatch.ANY:
        must.append(models.FieldCondition(key="tags", match=models.MatchAny(any=list(where.tags))))
    elif where.tags:
        must.extend(equal("tags", tag) for tag in where.tags)
    if where.memory_type is not None:
        must.append(equal("memory_type", where.memory_type))
    if where.store is not None:
        must.append(equal("store", where.store))
    if where.created_from is not None or where.created_to is not None:
        span = models.Range(gte=time_bound(where.created_from), lt=time_bound(where.created_to))
        must.append(models.FieldCondition(key="created_at", range=span))
    if where.superseded_by is not None:
        must.append(equal(SUPERSEDED_KEY, where.superseded_by))
    if among is not None:
        must.append(models.HasIdCondition(has_id=list(among)))
    must.extend(also)
    must_not: list[Any] = []
    if where.current_only:  # any value but a blank one
        superseded = models.MatchExcept.model_validate({"except": [""]})
        must_not.append(models.FieldCondition(key=SUPERSEDED_KEY, match=superseded))
    if without is not None:
        must_not.append(models.HasIdCondition(has_id=[without]))
    return models.Filter(must=must, must_not=must_not or None) if must or must_not else None
