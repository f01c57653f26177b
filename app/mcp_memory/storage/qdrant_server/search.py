"""Searches: candidates of both lists in one request, the scores that are missing in another, payload of the winners in a third.

Taking each list as the other's prefetch would save a request, and answer 600 points in one: more than comes in one piece.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from mcp_memory.domain.errors import DimensionMismatchError, InvalidInputError
from mcp_memory.domain.memory import ScoredMemory, normalise_for_matching, point_id, similarity_score
from mcp_memory.domain.query import EVERYTHING, SearchMode, SearchQuery
from mcp_memory.storage.bm25 import SPARSE_NAME, Bm25
from mcp_memory.storage.hybrid import Ranked, candidates, fuse, near_enough, order, oversampled
from mcp_memory.storage.payload import from_payload
from mcp_memory.storage.qdrant_server.filters import to_filter
from mcp_memory.storage.qdrant_server.lifecycle import OpenCollection
from mcp_memory.storage.qdrant_server.listing import Walk, walk
from mcp_memory.storage.qdrant_server.points import FOLDED, sparse
from mcp_memory.storage.qdrant_server.reads import Reads

if TYPE_CHECKING:
    from qdrant_client.models import Filter, QueryRequest, SearchParams

TIED: Final = 20
"""Candidates beyond the last one that are read, too: of equal scores the lowest ids are taken, whichever replica answers."""
_RUN: Final = re.compile(r"[^\W_]+")


class Search:
    """Searches of the collection behind one alias."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._name = reads.options.model.vector_name
        self._dimensions = reads.options.model.dimensions
        self._bm25 = Bm25()

    async def run(self, query: SearchQuery, collection: OpenCollection) -> list[ScoredMemory]:
        if query.vector is not None and query.vector.shape != (self._dimensions,):
            raise DimensionMismatchError(expected=self._dimensions, got=query.vector.size)
        if query.mode is SearchMode.EXACT and query.text is not None:
            return await self._exact(query, query.text)
        if query.text is None and query.vector is None:
            return await self._newest(query)
        ranked = await self._ranked(query, collection)
        near = [hit for hit in ranked if near_enough(hit.cosine, query.min_similarity)]
        return await self._winners(near[: query.limit])

    async def _ranked(self, query: SearchQuery, collection: OpenCollection) -> list[Ranked]:
        match query.mode:
            case SearchMode.HYBRID if query.vector is not None and query.text is not None:
                return await self._hybrid(query, query.text, collection)
            case SearchMode.HYBRID | SearchMode.SEMANTIC if query.vector is not None:
                found = await self._scores([self._near(query, query.limit, collection)])
                return order(Ranked(id_, cosine, cosine) for id_, cosine in found[0].items())
            case SearchMode.HYBRID | SearchMode.KEYWORD if query.text is not None:
                return await self._keyword(query, query.text)
        raise InvalidInputError(f"A {query.mode} search needs a text, and the vector of it for meaning.", field="query")

    async def _hybrid(self, query: SearchQuery, text: str, collection: OpenCollection) -> list[Ranked]:
        """The best K of each list in one request, what each list lacks of the other's scores in a second one."""
        k = candidates(query.limit)
        nearest = self._near(query, k + TIED, collection)
        words = self._words(query, text, k + TIED)
        if words is None:
            return fuse(_best((await self._scores([nearest]))[0], k), {})
        near, matching = await self._scores([nearest, words])
        cosine, bm25 = _best(near, k), _best(matching, k)
        if not bm25:
            return fuse(cosine, {})
        distant, wordless = bm25.keys() - near.keys(), cosine.keys() - matching.keys()
        more = [self._dense(query, _ids(distant), len(distant), _whole())] if distant else []
        more += [words.model_copy(update={"filter": _ids(wordless), "limit": len(wordless)})] if wordless else []
        found = await self._scores(more) if more else []
        if distant:
            near |= found[0]
        if wordless:
            matching |= found[-1]
        wanted = cosine.keys() | bm25.keys()
        return fuse(
            {id_: score for id_, score in near.items() if id_ in wanted},
            {id_: score for id_, score in matching.items() if id_ in wanted},
        )

    async def _keyword(self, query: SearchQuery, text: str) -> list[Ranked]:
        limit = query.limit if query.min_similarity is None else candidates(query.limit)
        words = self._words(query, text, limit + TIED)
        if words is None:
            return []
        bm25 = _best((await self._scores([words]))[0], limit)
        cosine = {} if query.vector is None else await self._cosines(query, bm25)
        return order(Ranked(id_, score, cosine.get(id_)) for id_, score in bm25.items())

    async def _newest(self, query: SearchQuery) -> list[ScoredMemory]:
        without = _excluded(query)
        ids: list[str] = []
        async for rows in walk(Walk(self._reads, query.where, keys=[]), first=query.limit + 1):
            ids += [row.id for row in rows if row.id != without]
            if len(ids) >= query.limit:
                break
        return await self._winners([Ranked(id_, 1.0, None) for id_ in ids[: query.limit]])

    async def _exact(self, query: SearchQuery, text: str) -> list[ScoredMemory]:
        """Newest first, until enough texts hold the words asked for. The word index leaves only texts with the whole words."""
        wanted = normalise_for_matching(text)
        without = _excluded(query)
        ranked: list[Ranked] = []
        texts = Walk(self._reads, query.where, keys=["content"], also=_word_conditions(wanted))
        async for rows in walk(texts):
            found = [
                row.id
                for row in rows
                if row.id != without and wanted in normalise_for_matching(row.payload.get("content", ""))
            ]
            cosine = {} if query.vector is None else await self._cosines(query, found)
            hits = (Ranked(id_, 1.0, cosine.get(id_)) for id_ in found)
            ranked += [hit for hit in hits if near_enough(hit.cosine, query.min_similarity)]
            if len(ranked) >= query.limit:
                break
        return await self._winners(ranked[: query.limit])

    async def _winners(self, ranked: list[Ranked]) -> list[ScoredMemory]:
        stored = await self._reads.payloads([hit.id for hit in ranked])
        return [
            ScoredMemory(
                from_payload(stored[hit.id]), hit.score, None if hit.cosine is None else similarity_score(hit.cosine)
            )
            for hit in ranked
            if hit.id in stored
        ]

    async def _scores(self, requests: list[QueryRequest]) -> list[dict[str, float]]:
        return await self._reads.query(requests, "a search")

    async def _cosines(self, query: SearchQuery, ids: Iterable[str]) -> dict[str, float]:
        """Exact cosines of these points."""
        among = list(ids)
        if not among or query.vector is None:
            return {}
        return (await self._scores([self._dense(query, _ids(among), len(among), _whole())]))[0]

    def _near(self, query: SearchQuery, limit: int, collection: OpenCollection) -> QueryRequest:
        where = to_filter(query.where, without=_excluded(query))
        return self._dense(query, where, limit, _whole() if query.exact_scan else quick(collection, limit))

    def _dense(self, query: SearchQuery, where: Filter | None, limit: int, params: SearchParams) -> QueryRequest:
        from qdrant_client.models import QueryRequest  # noqa: PLC0415

        vector: Any = [] if query.vector is None else query.vector.tolist()
        return QueryRequest(query=vector, using=self._name, filter=where, limit=limit, params=params)

    def _words(self, query: SearchQuery, text: str, limit: int) -> QueryRequest | None:
        """None for a text of stop words alone."""
        from qdrant_client.models import QueryRequest  # noqa: PLC0415

        indices, values = self._bm25.query(text)
        if not indices:
            return None
        where = to_filter(query.where, without=_excluded(query))
        return QueryRequest(query=sparse(indices, values), using=SPARSE_NAME, filter=where, limit=limit)


def _best(scores: dict[str, float], count: int) -> dict[str, float]:
    """The best, equal scores by id."""
    return dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:count])


def quick(collection: OpenCollection, limit: int) -> SearchParams:
    """By graph, and by quantized vectors where they are wanted, candidates rescored with the originals; as hard as measured.

    Where they aren't any more, segments keep them until Qdrant has rebuilt them, and would use them as they are (recall .39).
    """
    from qdrant_client.models import QuantizationSearchParams, SearchParams  # noqa: PLC0415

    if collection.exact:
        return _whole()
    if collection.quantization is None:
        quantized = QuantizationSearchParams(ignore=True)
    else:
        quantized = QuantizationSearchParams(rescore=True, oversampling=oversampled(limit, collection.oversampling))
    return SearchParams(hnsw_ef=collection.ef, quantization=quantized)


def _whole() -> SearchParams:
    """Every vector compared, in full."""
    from qdrant_client.models import QuantizationSearchParams, SearchParams  # noqa: PLC0415

    return SearchParams(exact=True, quantization=QuantizationSearchParams(ignore=True))


def _ids(ids: Iterable[str]) -> Filter | None:
    return to_filter(EVERYTHING, among=ids)


def _excluded(query: SearchQuery) -> str | None:
    return None if query.exclude is None else point_id(query.exclude)


def _word_conditions(wanted: str) -> tuple[Any, ...]:
    """What the word index can rule out: texts without the words that stand whole in the text asked for.

    A word stands whole where ASCII letters have an ASCII character that isn't a letter on both sides. Texts whose folded form
    isn't their lower case carry FOLDED and are always looked at.
    """
    from qdrant_client import models  # noqa: PLC0415

    whole = [
        match[0]
        for match in _RUN.finditer(wanted)
        if match[0].isascii() and _bounded(wanted, match.start() - 1) and _bounded(wanted, match.end())
    ]
    if not whole:
        return ()
    words = models.FieldCondition(key="content", match=models.MatchText(text=" ".join(whole)))
    folded = models.FieldCondition(key=FOLDED, match=models.MatchValue(value=True))
    return (models.Filter(should=[words, folded]),)


def _bounded(text: str, position: int) -> bool:
    return 0 <= position < len(text) and text[position].isascii() and not text[position].isalnum()
