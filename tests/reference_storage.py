"""A storage in plain Python: the model that every backend is compared with, and a stand-in where a test is about something else.

Nothing is indexed, nothing is approximate, nothing outlives the object.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from mcp_memory.domain.errors import DimensionMismatchError, InvalidInputError, MemoryNotFoundError
from mcp_memory.domain.memory import (
    EmbeddedMemory,
    Memory,
    MemoryChanges,
    ScoredMemory,
    changed_tags,
    next_revision,
    normalise_for_matching,
    point_id,
    similarity_score,
)
from mcp_memory.domain.query import EVERYTHING, Cursor, FacetField, MemoryFilter, Page, SearchMode, SearchQuery
from mcp_memory.storage.base import (
    BaseStorage,
    OptimizeReport,
    StorageHealth,
    StorageStats,
    UpsertMode,
    UpsertOutcome,
)
from mcp_memory.storage.bm25 import Bm25

CANDIDATES = 40
"""Taken from each list of a hybrid search, as docs/architecture.md says; not read from the code that is checked."""


class ReferenceStorage(BaseStorage):
    """The contract's meaning, by brute force."""

    def __init__(self, dimensions: int = 384, *, clock: Callable[[], float] = time.time) -> None:
        self._dimensions = dimensions
        self._clock = clock
        self._points: dict[str, EmbeddedMemory] = {}
        self._terms: dict[str, dict[int, float]] = {}
        self._revision = 0
        self._bm25 = Bm25()

    async def initialize(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close; what was stored stays in the object."""

    async def upsert(
        self, memories: Sequence[EmbeddedMemory], *, mode: UpsertMode = UpsertMode.REPLACE
    ) -> list[UpsertOutcome]:
        for item in memories:
            if item.vector.shape != (self._dimensions,):
                raise DimensionMismatchError(expected=self._dimensions, got=item.vector.size)
        before = set(self._points)
        written: set[str] = set()
        outcomes = []
        for item in memories:
            id_ = item.memory.id
            outcomes.append(UpsertOutcome.EXISTED if id_ in before | written else UpsertOutcome.STORED)
            if id_ not in written and not (mode is UpsertMode.INSERT and id_ in before):
                self._put(item, mode)
                written.add(id_)
        return outcomes

    def _put(self, item: EmbeddedMemory, mode: UpsertMode) -> None:
        kept = mode is UpsertMode.COPY
        self._revision = max(self._revision, item.memory.revision if kept else 0)
        memory = replace(
            item.memory,
            created_at=round(item.memory.created_at, 6),
            updated_at=round(item.memory.updated_at, 6),
            revision=item.memory.revision if kept else self._next_revision(item.memory.revision),
        )
        self._points[memory.id] = EmbeddedMemory(memory, item.vector.astype(np.float32))
        self._terms[memory.id] = dict(zip(*self._bm25.document(memory.content), strict=True))

    def _next_revision(self, given: int = 1) -> int:
        self._revision = next_revision(self._clock(), max(self._revision, given - 1))
        return self._revision

    async def get(self, hashes: Sequence[str]) -> dict[str, Memory]:
        return {hash_: item.memory for hash_, item in (await self.get_embedded(hashes)).items()}

    async def get_embedded(self, hashes: Sequence[str]) -> dict[str, EmbeddedMemory]:
        return {hash_: self._points[point_id(hash_)] for hash_ in hashes if point_id(hash_) in self._points}

    async def delete(self, hashes: Sequence[str]) -> list[str]:
        there = [hash_ for hash_ in dict.fromkeys(hashes) if point_id(hash_) in self._points]
        self._forget(there)
        return there

    def _forget(self, hashes: Iterable[str]) -> None:
        for hash_ in hashes:
            del self._points[point_id(hash_)], self._terms[point_id(hash_)]

    async def delete_matching(self, where: MemoryFilter) -> int:
        if where.empty:
            raise InvalidInputError("Deleting needs at least one condition; an empty filter would delete everything.")
        doomed = [item.memory.content_hash for item in self._matching(where)]
        self._forget(doomed)
        return len(doomed)

    async def update(self, content_hash: str, changes: MemoryChanges) -> Memory:
        item = self._points.get(point_id(content_hash))
        if item is None:
            raise MemoryNotFoundError(content_hash)
        old = item.memory
        new = replace(
            old,
            tags=changed_tags(old.tags, tags=changes.tags, add=changes.add_tags, remove=changes.remove_tags),
            store=old.store if changes.store is None else changes.store,
            memory_type=old.memory_type if changes.memory_type is None else changes.memory_type,
            metadata={**old.metadata, **(changes.metadata or {})},
            updated_at=old.updated_at if changes.updated_at is None else round(changes.updated_at, 6),
            revision=self._next_revision(),
        )
        self._points[new.id] = EmbeddedMemory(new, item.vector)
        return new

    async def search(self, query: SearchQuery) -> list[ScoredMemory]:
        return self._ranked(query)[: query.limit]

    def ranked_with_ties(self, query: SearchQuery, tolerance: float) -> tuple[list[ScoredMemory], set[str]]:
        """Best first, uncut: what any order of equals at the cut of a list of candidates allows, and the ids that each asks for.

        Scores less than `tolerance` apart count as equal. Who of the equals becomes a candidate is the engine's choice,
        and decides whether a memory is ranked by one of its scores or found at all.
        """
        return self._ranked(query, tolerance), {hit.memory.id for hit in self._ranked(query, -tolerance)}

    def _ranked(self, query: SearchQuery, slack: float = 0.0) -> list[ScoredMemory]:
        found = {
            item.memory.id: item for item in self._matching(query.where) if item.memory.content_hash != query.exclude
        }
        cosine = {} if query.vector is None else {id_: float(item.vector @ query.vector) for id_, item in found.items()}
        scores = self._scores(query, found, cosine, slack)
        if query.min_similarity is not None and cosine:
            scores = {
                id_: score for id_, score in scores.items() if similarity_score(cosine[id_]) >= query.min_similarity
            }
        by_age = query.mode is SearchMode.EXACT or (query.text is None and query.vector is None)
        best = sorted(scores, key=lambda id_: (-found[id_].memory.created_at if by_age else -scores[id_], id_))
        return [
            ScoredMemory(found[id_].memory, scores[id_], similarity_score(cosine[id_]) if id_ in cosine else None)
            for id_ in best
        ]

    def _scores(
        self, query: SearchQuery, found: dict[str, EmbeddedMemory], cosine: dict[str, float], slack: float
    ) -> dict[str, float]:
        """By id: everything that the mode finds, with the score that ranks it."""
        if query.text is None and query.vector is None:
            return dict.fromkeys(found, 1.0)
        if query.mode is SearchMode.EXACT and query.text is not None:
            wanted = normalise_for_matching(query.text)
            return {id_: 1.0 for id_, item in found.items() if wanted in normalise_for_matching(item.memory.content)}
        words = {} if query.text is None else self._bm25_scores(query.text, found)
        match query.mode:
            case SearchMode.HYBRID if query.vector is not None:
                taken = _best(cosine, query.limit, slack) | _best(words, query.limit, slack)
                top = max((words.get(id_, 0.0) for id_ in taken), default=0.0)
                return {id_: cosine[id_] + (0.6 * words.get(id_, 0.0) / top if top else 0.0) for id_ in taken}
            case SearchMode.SEMANTIC if query.vector is not None:
                return cosine
            case SearchMode.HYBRID | SearchMode.KEYWORD if query.text is not None:
                return {id_: words[id_] for id_ in _best(words, query.limit, slack)}
        raise InvalidInputError(f"A {query.mode} search needs a text, and the vector of it for meaning.", field="query")

    def _bm25_scores(self, text: str, found: dict[str, EmbeddedMemory]) -> dict[str, float]:
        """BM25 with IDF over everything stored, ln((N - n + 0.5) / (n + 0.5) + 1); only those that share a term."""
        scores: defaultdict[str, float] = defaultdict(float)
        for term in self._bm25.query(text)[0]:
            holders = [id_ for id_, terms in self._terms.items() if term in terms]
            idf = math.log((len(self._terms) - len(holders) + 0.5) / (len(holders) + 0.5) + 1.0)
            for id_ in holders:
                if id_ in found:
                    scores[id_] += idf * self._terms[id_][term]
        return dict(scores)

    async def page(self, where: MemoryFilter, *, limit: int, cursor: Cursor | None = None, offset: int = 0) -> Page:
        newest = sorted(
            (item.memory for item in self._matching(where)), key=lambda found: (-found.created_at, found.id)
        )
        if cursor is not None:
            newest = [found for found in newest if (-found.created_at, found.id) > (-cursor.created_at, cursor.id)]
        taken = newest[offset : offset + limit]
        more = len(newest) > offset + limit and bool(taken)
        return Page(taken, Cursor(taken[-1].created_at, taken[-1].id) if more else None)

    async def count(self, where: MemoryFilter) -> int:
        return sum(1 for _ in self._matching(where))

    async def tags(self, where: MemoryFilter) -> dict[str, int]:
        return await self.facet(FacetField.TAGS, where)

    async def stats(self) -> StorageStats:
        vectors = len(self._points) * self._dimensions * 4
        return StorageStats(
            vectors_count=len(self._points),
            indexed_vectors_count=len(self._points),
            disk_data_size=0,
            ram_data_size=vectors,
            details={"index": "none"},
        )

    async def health(self) -> StorageHealth:
        return StorageHealth(healthy=True, backend="reference", collections=1, vector_dimensions=self._dimensions)

    async def iterate(
        self, where: MemoryFilter = EVERYTHING, *, batch_size: int = 256, after_id: str | None = None
    ) -> AsyncIterator[list[EmbeddedMemory]]:
        found = sorted(self._matching(where), key=lambda item: item.memory.id)
        found = [item for item in found if after_id is None or item.memory.id > after_id]
        for start in range(0, len(found), batch_size):
            yield found[start : start + batch_size]

    async def optimize(self) -> OptimizeReport:
        return OptimizeReport(changed=False, message="Nothing is indexed.", seconds=0.0)

    def _matching(self, where: MemoryFilter) -> list[EmbeddedMemory]:
        return [item for item in self._points.values() if where.matches(item.memory)]


def _best(scores: dict[str, float], limit: int, slack: float) -> set[str]:
    """The candidates of one list: with slack > 0 also their equals beyond the cut, with slack < 0 only those clear of it."""
    ranked = sorted(scores, key=lambda id_: (-scores[id_], id_))
    number = max(CANDIDATES, limit)
    if len(ranked) <= number or slack == 0.0:
        return set(ranked[:number])
    last, next_ = scores[ranked[number - 1]], scores[ranked[number]]
    return {id_ for id_ in ranked if scores[id_] > (last if slack > 0.0 else next_) - slack}
