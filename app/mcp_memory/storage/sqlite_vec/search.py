"""A search over both tables: candidates, both scores for each, ranking, rows of the winners."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import ScoredMemory, normalise_for_matching, point_id, similarity_score
from mcp_memory.domain.query import SearchMode, SearchQuery
from mcp_memory.storage.bm25 import Bm25
from mcp_memory.storage.hybrid import Ranked, candidates, fuse, near_enough, order
from mcp_memory.storage.sqlite_vec.database import Database
from mcp_memory.storage.sqlite_vec.filters import Condition, condition

if TYPE_CHECKING:
    from mcp_memory.domain.memory import Vector

_EVERY = -1
"""LIMIT of SQLite for no limit."""


def search(database: Database, query: SearchQuery, bm25: Bm25) -> list[ScoredMemory]:
    """Best first, from one state of the database."""
    return database.reading(lambda opened: _Search(opened, query, bm25).run())


class _Search:
    """Scores go by rowid while they are gathered, and by point id once they are ranked."""

    def __init__(self, database: Database, query: SearchQuery, bm25: Bm25) -> None:
        self._database = database
        self._connection = database.connection
        self._query = query
        self._bm25 = bm25
        self._where: Condition = condition(query.where)
        if query.exclude is not None:
            self._where.add("p.point_id <> ?", point_id(query.exclude))

    def run(self) -> list[ScoredMemory]:
        query = self._query
        match query.mode:
            case _ if query.text is None and query.vector is None:
                return self._answer(self._newest(query.limit), {})
            case SearchMode.EXACT if query.text is not None:
                return self._exact(query.text)
            case SearchMode.HYBRID if query.vector is not None and query.text is not None:
                ranked, rowids = self._hybrid(query.vector, query.text)
            case SearchMode.HYBRID | SearchMode.SEMANTIC if query.vector is not None:
                cosine = self._near(query.vector, query.limit)
                names = self._names(cosine)
                ranked = order(Ranked(names[rowid], near, near) for rowid, near in cosine.items() if rowid in names)
                rowids = {name: rowid for rowid, name in names.items()}
            case SearchMode.HYBRID | SearchMode.KEYWORD if query.text is not None:
                ranked, rowids = self._keyword(query.text)
            case _:
                raise InvalidInputError(
                    f"A {query.mode} search needs a text, and the vector of it for meaning.", field="query"
                )
        best = [hit for hit in ranked if near_enough(hit.cosine, query.min_similarity)][: query.limit]
        found = self._database.memories([rowids[hit.id] for hit in best])
        return [
            ScoredMemory(
                found[rowids[hit.id]].memory, hit.score, None if hit.cosine is None else similarity_score(hit.cosine)
            )
            for hit in best
        ]

    # Modes

    def _hybrid(self, vector: Vector, text: str) -> tuple[list[Ranked], dict[str, int]]:
        k = candidates(self._query.limit)
        cosine = self._near(vector, k)
        words = self._words(text, k)
        if words:
            words |= self._words(text, _EVERY, among=cosine.keys() - words.keys())
            cosine |= self._cosines(vector, words.keys() - cosine.keys())
        names = self._names(cosine.keys() | words.keys())
        ranked = fuse(
            # A memory without a vector (the original may still have to embed it) counts as unrelated in meaning.
            {name: cosine.get(rowid, 0.0) for rowid, name in names.items()},
            {name: words[rowid] for rowid, name in names.items() if rowid in words},
        )
        return ranked, {name: rowid for rowid, name in names.items()}

    def _keyword(self, text: str) -> tuple[list[Ranked], dict[str, int]]:
        limit = self._query.limit
        words = self._words(text, limit if self._query.min_similarity is None else candidates(limit))
        cosine = {} if self._query.vector is None else self._cosines(self._query.vector, words)
        names = self._names(words)
        ranked = order(Ranked(names[rowid], score, cosine.get(rowid)) for rowid, score in words.items())
        return ranked, {name: rowid for rowid, name in names.items()}

    def _exact(self, text: str) -> list[ScoredMemory]:
        """Every memory under the conditions is read, newest first, until enough hold the text."""
        wanted = normalise_for_matching(text)
        bound = self._query.min_similarity if self._query.vector is not None else None
        hits: list[int] = []
        rows = self._connection.execute(
            "SELECT p.id, CAST(m.content AS BLOB) FROM mcp_points p JOIN memories m ON m.id = p.id "
            f"WHERE {self._where.sql} ORDER BY p.created_at DESC, p.point_id",
            self._where.values,
        )
        for rowid, content in rows:
            if wanted in normalise_for_matching(content.decode(errors="replace")):
                hits.append(rowid)
                if bound is None and len(hits) == self._query.limit:
                    break
        rows.close()
        cosine = {} if self._query.vector is None else self._cosines(self._query.vector, hits)
        near = [rowid for rowid in hits if near_enough(cosine.get(rowid), bound)][: self._query.limit]
        return self._answer(near, cosine)

    def _answer(self, rowids: Sequence[int], cosine: Mapping[int, float]) -> list[ScoredMemory]:
        """Hits in this order, which no score explains."""
        found = self._database.memories(rowids)
        return [
            ScoredMemory(found[rowid].memory, 1.0, similarity_score(cosine[rowid]) if rowid in cosine else None)
            for rowid in rowids
        ]

    # Scores

    def _newest(self, limit: int) -> list[int]:
        return [
            int(rowid)
            for (rowid,) in self._connection.execute(
                f"SELECT p.id FROM mcp_points p WHERE {self._where.sql} ORDER BY p.created_at DESC, p.point_id LIMIT ?",
                (*self._where.values, limit),
            )
        ]

    def _near(self, vector: Vector, limit: int) -> dict[int, float]:
        rows = self._connection.execute(
            f"SELECT p.id FROM mcp_points p WHERE {self._where.sql} ORDER BY p.id", self._where.values
        )
        allowed = np.fromiter((rowid for (rowid,) in rows), dtype=np.int64)
        return self._database.vectors.nearest(vector, allowed, limit)

    def _cosines(self, vector: Vector, rowids: Iterable[int]) -> dict[int, float]:
        return {rowid: float(found @ vector) for rowid, found in self._database.vectors.get(rowids).items()}

    def _words(self, text: str, limit: int, among: Collection[int] | None = None) -> dict[int, float]:
        """BM25 with ln((N - n + 0.5) / (n + 0.5) + 1) over everything stored; only rows that share a term."""
        if among is not None and not among:
            return {}
        terms = self._weighted_terms(text)
        if not terms:
            return {}
        where = Condition([*self._where.clauses], [*self._where.values])
        if among is not None:
            where.add(f"p.id IN ({', '.join('?' * len(among))})", *among)
        rows = self._connection.execute(
            f"WITH q(term, idf) AS (VALUES {', '.join(['(?, ?)'] * len(terms))}) "
            "SELECT p.id, sum(t.weight * q.idf) AS score FROM q JOIN mcp_terms t ON t.term = q.term "
            f"JOIN mcp_points p ON p.id = t.id WHERE {where.sql} GROUP BY p.id ORDER BY score DESC, p.point_id LIMIT ?",
            (*(value for pair in terms for value in pair), *where.values, limit),
        )
        return {int(rowid): float(score) for rowid, score in rows}

    def _weighted_terms(self, text: str) -> list[tuple[int, float]]:
        (total,) = self._connection.execute("SELECT count(*) FROM mcp_points").fetchone() or (0,)
        found = []
        for term in self._bm25.query(text)[0]:
            (holders,) = self._connection.execute(
                "SELECT count(*) FROM mcp_terms WHERE term = ?", (term,)
            ).fetchone() or (0,)
            if holders:
                found.append((term, math.log((total - holders + 0.5) / (holders + 0.5) + 1.0)))
        return found

    def _names(self, rowids: Iterable[int]) -> dict[int, str]:
        """Point ids by rowid."""
        wanted = list(rowids)
        found: dict[int, str] = {}
        for start in range(0, len(wanted), 500):
            part = wanted[start : start + 500]
            rows = self._connection.execute(
                f"SELECT id, point_id FROM mcp_points WHERE id IN ({', '.join('?' * len(part))})", part
            )
            found |= {int(rowid): str(name) for rowid, name in rows}
        return found
