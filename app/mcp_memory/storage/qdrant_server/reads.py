"""Reads of points and payloads of the collection behind one alias."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.domain.query import FacetField, MemoryFilter
from mcp_memory.storage.qdrant_server.connection import Connection
from mcp_memory.storage.qdrant_server.filters import to_filter
from mcp_memory.storage.qdrant_server.points import to_embedded

if TYPE_CHECKING:
    from qdrant_client.models import QueryRequest, Record

    from mcp_memory.storage.qdrant_server.options import ServerOptions

SLICE: Final = 256
FACET_LIMIT: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """A point of a listing, with the value it is ordered by."""

    value: float
    id: str
    payload: dict[str, Any]


class Reads:
    """Small reads; each is one request unless it says otherwise."""

    def __init__(self, connection: Connection, options: ServerOptions) -> None:
        self.connection = connection
        self.options = options
        self.alias = options.alias
        self._consistency = _consistency(options.read_consistency)

    async def payloads(self, ids: Sequence[str], *, only: list[str] | None = None) -> dict[str, dict[str, Any]]:
        """Payload by id of those that are there; `only` some of its keys. One request for each slice of ids."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(ids), SLICE):
            for record in await self._retrieve(ids[start : start + SLICE], _selected(only)):
                found[str(record.id)] = record.payload or {}
        return found

    async def embedded(self, ids: Sequence[str]) -> dict[str, EmbeddedMemory]:
        """As `payloads`, with vectors."""
        name = self.options.model.vector_name
        found: dict[str, EmbeddedMemory] = {}
        for start in range(0, len(ids), SLICE):
            for record in await self._retrieve(ids[start : start + SLICE], True, [name]):
                found[str(record.id)] = to_embedded(record, name)
        return found

    async def _retrieve(self, ids: Sequence[str], payload: Any, vectors: Any = False) -> list[Record]:
        if not ids:
            return []
        return await self.connection.run(
            lambda client: client.retrieve(
                self.alias, list(ids), with_payload=payload, with_vectors=vectors, consistency=self._consistency
            ),
            f"reading {len(ids)} memories",
        )

    async def ids(self, where: MemoryFilter, *, limit: int, after: str | None) -> list[str]:
        """Ids that match, in order, behind `after`."""
        return [row.id for row in await self.scroll(where, limit=limit, after=after, keys=[])]

    async def batch(self, where: MemoryFilter, *, limit: int, after: str | None) -> list[EmbeddedMemory]:
        """Memories with vectors in order of id, behind `after`."""
        name = self.options.model.vector_name
        records = await self._scroll(
            scroll_filter=to_filter(where), limit=limit + 1, offset=after, with_payload=True, with_vectors=[name]
        )
        return [to_embedded(record, name) for record in records if str(record.id) != after][:limit]

    async def scroll(
        self,
        where: MemoryFilter,
        *,
        limit: int,
        after: str | None,
        keys: list[str] | None = None,
        also: Iterable[Any] = (),
    ) -> list[Row]:
        """Those that match, in order of id, behind `after`; value 0. `keys` of the payload: None for all, [] for nothing."""
        records = await self._scroll(
            scroll_filter=to_filter(where, also=also), limit=limit + 1, offset=after, with_payload=_selected(keys)
        )
        rows = [Row(0.0, str(record.id), record.payload or {}) for record in records]
        return [row for row in rows if row.id != after][:limit]

    async def newest(
        self,
        where: MemoryFilter,
        *,
        limit: int,
        start_from: float | None = None,
        key: str = "created_at",
        keys: list[str] | None = None,
        also: Iterable[Any] = (),
    ) -> list[Row]:
        """Those with the highest `key` from `start_from` (inclusive) downwards; ties in no order."""
        from qdrant_client.models import Direction, OrderBy  # noqa: PLC0415

        records = await self._scroll(
            scroll_filter=to_filter(where, also=also),
            limit=limit,
            order_by=OrderBy(key=key, direction=Direction.DESC, start_from=start_from),
            with_payload=_selected(keys),
        )
        return [Row(float(record.order_value or 0.0), str(record.id), record.payload or {}) for record in records]

    async def _scroll(self, **parameters: Any) -> list[Record]:
        records, _ = await self.connection.run(
            lambda client: client.scroll(self.alias, consistency=self._consistency, **parameters), "reading memories"
        )
        return records

    async def query(self, requests: Sequence[QueryRequest], what: str) -> list[dict[str, float]]:
        """Score by id for each of the queries, in one request."""
        answers = await self.connection.run(
            lambda client: client.query_batch_points(self.alias, list(requests), consistency=self._consistency), what
        )
        return [{str(point.id): point.score for point in answer.points} for answer in answers]

    async def count(self, where: MemoryFilter) -> int:
        found = await self.connection.run(
            lambda client: client.count(self.alias, count_filter=to_filter(where), exact=True), "counting memories"
        )
        return found.count

    async def facet(self, field: FacetField, where: MemoryFilter) -> dict[str, int]:
        found = await self.connection.run(
            lambda client: client.facet(
                self.alias,
                field.value,
                facet_filter=to_filter(where),
                limit=FACET_LIMIT,
                exact=True,
                consistency=self._consistency,
            ),
            f"counting {field.value}",
        )
        counts = {str(hit.value): hit.count for hit in found.hits if hit.count}  # a value that left stays listed with 0
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _selected(keys: list[str] | None) -> bool | list[str]:
    return True if keys is None else keys or False


def _consistency(given: str | None) -> Any:
    if given is None:
        return None
    from qdrant_client.models import ReadConsistencyType  # noqa: PLC0415

    return int(given) if given.isdigit() else ReadConsistencyType(given.lower())
