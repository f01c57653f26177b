"""The collection inside the engine process: one qdrant-edge shard, opened, written to and read in short calls.

qdrant-edge holds Python's GIL through every call, so nothing here may take more than a few milliseconds; callers cut long work
into slices. Measured at 100,000 real texts: an upsert of 32 takes 6 ms of CPU (BM25 included), a flush of 1,024 points 4 to 11 ms
and what the disk takes for some twenty fsyncs.
"""

from __future__ import annotations

import shutil
import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from mcp_memory.domain.memory import SUPERSEDED_BY, changed_tags, next_revision, point_id
from mcp_memory.domain.query import EVERYTHING, FacetField, MemoryFilter
from mcp_memory.storage.bm25 import SPARSE_NAME, Bm25
from mcp_memory.storage.hybrid import oversampled
from mcp_memory.storage.payload import SUPERSEDED_KEY, metadata_of, set_metadata, to_microseconds
from mcp_memory.storage.qdrant_embedded.filters import to_filter
from mcp_memory.storage.qdrant_embedded.manifest import Graph, Quantization
from mcp_memory.storage.qdrant_embedded.protocol import Record, Update
from mcp_memory.storage.qdrant_embedded.shard_config import shard_config

KEYWORDS = ("tags", "memory_type", "store")
FLOATS = ("created_at", "updated_at")
FACET_LIMIT = 10_000_000
LOAD_SECONDS = 5.0
MEASURE_FROM = 1_000
"""Memories from which recall is measured; fewer are all compared."""


class Collection:
    """Points of one collection. Not thread-safe: the engine has one thread."""

    def __init__(
        self, shard: edge.EdgeShard, vector_name: str, quantization: Quantization, graph: Graph | None
    ) -> None:
        self._shard = shard
        self._vector_name = vector_name
        self._bm25 = Bm25()
        self.quantization = quantization
        self.graph = graph
        self.unflushed = 0
        """Points written since the last flush."""
        self.journal: set[str] | None = None
        """Ids of everything that changed since a builder asked for it; None while nobody builds."""
        self._revision = self._latest_revision()
        self._stores = set(self.facet(FacetField.STORE, EVERYTHING))
        self._supersedes = SUPERSEDED_KEY in self._shard.info().payload_schema
        """Whether superseded memories are indexed: not in stores of older releases, until the first is superseded."""
        self._any_superseded = self._supersedes and self._superseded_there()

    # Life

    @classmethod
    def create(
        cls, path: Path, *, vector_name: str, dimensions: int, quantization: Quantization, graph: Graph | None = None
    ) -> Collection:
        """A new shard at `path`, replacing what an interrupted creation left; indexes exist before the first point.

        A content_hash index isn't needed (the point's id follows from the hash), nor one on content: only phrases of three
        words and more could use it, and it made loading 100,000 memories take three times as long.
        """
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700, parents=True)
        config = shard_config(vector_name, dimensions, quantization, graph, on_disk_payload=True)
        shard = edge.EdgeShard.create(str(path), config)
        schema = edge.PayloadSchemaType
        keywords = (*KEYWORDS, SUPERSEDED_KEY)
        for names, kind in ((keywords, schema.Keyword), (FLOATS, schema.Float), (("revision",), schema.Integer)):
            for name in names:
                shard.update(edge.UpdateOperation.create_field_index(name, kind))
        shard.flush()
        return cls(shard, vector_name, quantization, graph)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        vector_name: str,
        dimensions: int,
        quantization: Quantization,
        graph: Graph | None,
        on_disk_payload: bool,
    ) -> Collection:
        config = shard_config(vector_name, dimensions, quantization, graph, on_disk_payload=on_disk_payload)
        shard = _load(path, config)
        return cls(shard, vector_name, quantization, graph)

    def flush(self) -> None:
        """Everything written so far survives power loss."""
        self._shard.flush()
        self.unflushed = 0

    def _changed(self, ids: Iterable[str]) -> None:
        written = list(ids)
        self.unflushed += len(written)
        if self.journal is not None:
            self.journal.update(written)

    def close(self) -> None:
        self._shard.flush()
        self._shard.close()

    def build_indexes(self) -> None:
        """Merge segments and build the graph: minutes of work in one call, for a process that serves nobody."""
        self._shard.optimize()

    # Write

    def upsert(self, records: Sequence[Record], *, insert_only: bool, keep_revisions: bool = False) -> list[bool]:
        """Store one slice; for each record whether its id was there before. Ids are distinct."""
        there = self.existing([record.id for record in records])
        points, ids = [], []
        for record in records:
            if insert_only and record.id in there:
                continue
            if keep_revisions:
                self._revision = max(self._revision, int(record.payload["revision"]))
            else:
                record.payload["revision"] = self.next_revision(int(record.payload.get("revision", 1)))
            points.append(self._point(record))
            ids.append(record.id)
        if points:
            self._shard.update(edge.UpdateOperation.upsert_points(points))
            self._changed(ids)
        return [record.id in there for record in records]

    def copy_in(self, records: Sequence[Record]) -> None:
        """Store points as they are, revision included: what a builder takes over from the serving engine."""
        if records:
            self._shard.update(edge.UpdateOperation.upsert_points([self._point(record) for record in records]))
            self._revision = max(self._revision, *(int(record.payload["revision"]) for record in records))

    def _point(self, record: Record) -> edge.Point:
        dense = array("f")
        dense.frombytes(record.vector)
        indices, values = self._words(record)
        self._seen(record.payload)
        vectors: dict[str, Any] = {self._vector_name: dense, SPARSE_NAME: edge.SparseVector(indices, values)}
        return edge.Point(record.id, vectors, record.payload)

    def _seen(self, payload: dict[str, Any]) -> None:
        """Before a payload is written: what filters have to know of it."""
        self._stores.add(payload["store"])
        if metadata_of(payload).get(SUPERSEDED_BY) and not self._any_superseded:
            if (
                not self._supersedes
            ):  # once in the life of a store that an older release made; 25 s for a million memories
                self._shard.update(
                    edge.UpdateOperation.create_field_index(SUPERSEDED_KEY, edge.PayloadSchemaType.Keyword)
                )
                self._supersedes = True
            self._any_superseded = True

    def _superseded_there(self) -> bool:
        return bool(self._shard.facet(edge.FacetRequest(SUPERSEDED_KEY, limit=1)).hits)

    def _words(self, record: Record) -> tuple[list[int], list[float]]:
        if record.terms is None:
            return self._bm25.document(record.payload["content"])
        terms, weights = array("I"), array("f")
        terms.frombytes(record.terms)
        weights.frombytes(record.weights)
        return terms.tolist(), weights.tolist()

    def delete(self, ids: Sequence[str]) -> list[bool]:
        """Delete one slice; for each id whether it was there."""
        there = self.existing(ids)
        if there:
            self._shard.update(edge.UpdateOperation.delete_points(sorted(there)))
            self._changed(there)
        return [id_ in there for id_ in ids]

    def update(self, change: Update) -> dict[str, Any] | None:
        """Apply a change of payload; the payload as it is now, or None where the id is unknown."""
        found = self.get([change.id])
        if not found:
            return None
        payload = found[0].payload
        payload["tags"] = list(
            changed_tags(payload["tags"], tags=change.tags, add=change.add_tags, remove=change.remove_tags)
        )
        if change.store is not None:
            payload["store"] = change.store
        if change.memory_type is not None:
            payload["memory_type"] = change.memory_type
        if change.metadata is not None:
            set_metadata(payload, {**metadata_of(payload), **change.metadata})
        if change.updated_at is not None:
            payload["updated_at"] = to_microseconds(change.updated_at)
        payload["revision"] = self.next_revision()
        self._seen(payload)
        self._shard.update(edge.UpdateOperation.overwrite_payload([change.id], payload))
        self._changed([change.id])
        return payload

    def next_revision(self, given: int = 1) -> int:
        """Later than every revision in the collection, and not below `given`, even when the wall clock steps back."""
        self._revision = next_revision(time.time(), max(self._revision, given - 1))
        return self._revision

    def _latest_revision(self) -> int:
        order = edge.OrderBy("revision", edge.Direction.Desc)
        last = self._shard.query(edge.QueryRequest(limit=1, query=order, with_payload=["revision"]))
        return int((last[0].payload or {}).get("revision", 0)) if last else 0

    # Read

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of these ids are stored."""
        return {str(point.id) for point in self._shard.retrieve(list(ids), False, False)}

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> list[Record]:
        """The stored ones among these ids, in no particular order."""
        wanted: Any = [self._vector_name] if vectors else False
        return [self._record(point) for point in self._shard.retrieve(list(ids), True, wanted)]

    def contents(self, ids: Sequence[str]) -> dict[str, str]:
        """Texts by id."""
        only = edge.PayloadSelector.Include(["content"])
        return {
            str(point.id): (point.payload or {}).get("content", "")
            for point in self._shard.retrieve(list(ids), only, False)
        }

    def scroll(
        self,
        where: MemoryFilter,
        *,
        limit: int,
        after: str | None = None,
        payload: bool = True,
        only: Sequence[str] | None = None,
    ) -> list[Record]:
        """Points in order of id, behind `after`; with vectors where the whole payload is asked for."""
        request = edge.ScrollRequest(
            offset=after,
            limit=limit + 1,
            filter=self.filter(where),
            with_payload=edge.PayloadSelector.Include(list(only)) if only is not None else payload,
            with_vector=[self._vector_name] if payload and only is None else False,
        )
        points = [point for point in self._shard.scroll(request)[0] if str(point.id) != after]
        return [self._record(point) for point in points[:limit]]

    def _record(self, point: edge.Record) -> Record:
        vector: Any = point.vector
        payload = point.payload or {}
        # Asking the engine for an id makes a UUID object, which takes as long as all the rest.
        id_ = point_id(payload["content_hash"]) if "content_hash" in payload else str(point.id)
        dense = vector.get(self._vector_name) if isinstance(vector, dict) else None
        return Record(id_, payload, b"" if dense is None else array("f", dense).tobytes())

    def newest(
        self, where: MemoryFilter, *, limit: int, start_from: float | None = None, without: str | None = None
    ) -> list[tuple[float, str]]:
        """(created_at, id) of the newest that match, from `start_from` (inclusive) downwards; ties in no order."""
        order = edge.OrderBy("created_at", edge.Direction.Desc, start_from=start_from)
        request = edge.ScrollRequest(
            limit=limit,
            filter=self.filter(where, without=without),
            with_payload=False,
            with_vector=False,
            order_by=order,
        )
        return [(float(point.order_value or 0.0), str(point.id)) for point in self._shard.scroll(request)[0]]

    def near(
        self,
        vector: bytes,
        where: MemoryFilter,
        *,
        limit: int,
        without: str | None = None,
        among: set[str] | None = None,
        exact: bool = False,
        effort: Quantization | None = None,
    ) -> dict[str, float]:
        """Cosine by id of the nearest; exact for those in `among`. `effort` None: the collection's own."""
        dense = array("f")
        dense.frombytes(vector)
        query = edge.Query.Nearest(dense.tolist(), using=self._vector_name)
        effort = effort or self.quantization
        quick = edge.QuantizationSearchParams(rescore=True, oversampling=oversampled(limit, effort.oversampling))
        whole = edge.QuantizationSearchParams(ignore=True)
        params = (
            edge.SearchParams(exact=True, quantization=whole)
            if exact or effort.exact or among is not None or self._small(effort)
            else edge.SearchParams(hnsw_ef=effort.ef, quantization=quick)
        )
        return self._scores(query, where, limit=limit, without=without, among=among, params=params)

    def _small(self, effort: Quantization) -> bool:
        """Too few memories to measure on: comparing all of them takes no longer than the first pass saves."""
        return effort.measured < MEASURE_FROM and self.count(EVERYTHING) < MEASURE_FROM

    def words(
        self,
        text: str,
        where: MemoryFilter,
        *,
        limit: int,
        without: str | None = None,
        among: set[str] | None = None,
    ) -> dict[str, float]:
        """BM25 by id of the best; only those that share a term with the text."""
        indices, values = self._bm25.query(text)
        if not indices:
            return {}
        query = edge.Query.Nearest(edge.SparseVector(indices, values), using=SPARSE_NAME)
        return self._scores(query, where, limit=limit, without=without, among=among, params=None)

    def _scores(
        self,
        query: edge.Query,
        where: MemoryFilter,
        *,
        limit: int,
        without: str | None,
        among: set[str] | None,
        params: edge.SearchParams | None,
    ) -> dict[str, float]:
        if among is not None and not among:
            return {}
        request = edge.QueryRequest(
            limit=limit, query=query, filter=self.filter(where, without=without, among=among), params=params
        )
        return {str(point.id): point.score for point in self._shard.query(request)}

    def count(self, where: MemoryFilter) -> int:
        """Exact. Every point has one store, so a facet counts them: 0.02 ms for 100,000, the engine's own exact count 5.9."""
        return sum(self.facet(FacetField.STORE, where).values())

    def facet(self, field: FacetField, where: MemoryFilter) -> dict[str, int]:
        """Every value with its number of points.

        The engine's exact=False is exact in a shard that nobody optimizes (it may count a point twice while one is moved between
        segments) and takes 0.2 ms for 100,000 memories, 5 ms with a filter, where exact=True takes 40 and 180.
        """
        request = edge.FacetRequest(field.value, limit=FACET_LIMIT, exact=False, filter=self.filter(where))
        return {str(hit.value): hit.count for hit in self._shard.facet(request).hits if hit.count}

    def segments(self) -> int:
        return self._shard.info().segments_count

    def filter(
        self, where: MemoryFilter, *, without: str | None = None, among: set[str] | None = None
    ) -> edge.Filter | None:
        """The engine's filter. A condition that every point meets goes: one on `store` would double a search's time."""
        if where.store is not None and self._stores == {where.store}:
            where = replace(where, store=None)
        if where.current_only and not self._any_superseded:
            where = replace(where, current_only=False)
        return to_filter(where, without=without, among=among)


def _load(path: Path, config: edge.EdgeConfig) -> edge.EdgeShard:
    """Open a shard, also where a successor that failed to take over is still ending: the kernel frees its lock then."""
    deadline = time.monotonic() + LOAD_SECONDS
    while True:
        try:
            return edge.EdgeShard.load(str(path), config)
        except Exception as error:  # the only kind that qdrant-edge raises
            if "WouldBlock" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # there is nothing to wait on
