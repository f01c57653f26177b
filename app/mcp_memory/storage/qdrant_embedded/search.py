"""A search inside the engine: candidates, both scores for each, ranking, payload of the winners."""

from __future__ import annotations

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.query import SearchMode
from mcp_memory.storage.hybrid import Ranked, candidates, fuse, near_enough, order
from mcp_memory.storage.qdrant_embedded.collection import Collection
from mcp_memory.storage.qdrant_embedded.protocol import Hit, Hits, Search


def ranked_search(collection: Collection, query: Search) -> Hits:
    """Hybrid, semantic and keyword: one short call."""
    match query.mode:
        case SearchMode.HYBRID if query.vector is not None and query.text is not None:
            ranked = _hybrid(collection, query, query.vector, query.text)
        case SearchMode.HYBRID | SearchMode.SEMANTIC if query.vector is not None:
            ranked = _semantic(collection, query, query.vector)
        case SearchMode.HYBRID | SearchMode.KEYWORD if query.text is not None:
            ranked = _keyword(collection, query, query.text)
        case _:
            raise InvalidInputError(
                f"A {query.mode} search needs a text, and the vector of it for meaning.", field="query"
            )
    return winners(collection, [hit for hit in ranked if near_enough(hit.cosine, query.min_similarity)][: query.limit])


def winners(collection: Collection, ranked: list[Ranked]) -> Hits:
    """Payload for what will be answered, and for nothing else."""
    found = {record.id: record.payload for record in collection.get([hit.id for hit in ranked])}
    return Hits([Hit(found[hit.id], hit.score, hit.cosine) for hit in ranked if hit.id in found])


def _hybrid(collection: Collection, query: Search, vector: bytes, text: str) -> list[Ranked]:
    k = candidates(query.limit)
    cosine = collection.near(vector, query.where, limit=k, without=query.exclude, exact=query.exact_scan)
    bm25 = collection.words(text, query.where, limit=k, without=query.exclude)
    if bm25:
        wordless = cosine.keys() - bm25.keys()
        bm25 |= collection.words(text, query.where, limit=len(wordless), among=wordless)
        distant = bm25.keys() - cosine.keys()
        cosine |= collection.near(vector, query.where, limit=len(distant), among=distant)
    return fuse(cosine, bm25)


def _semantic(collection: Collection, query: Search, vector: bytes) -> list[Ranked]:
    cosine = collection.near(vector, query.where, limit=query.limit, without=query.exclude, exact=query.exact_scan)
    return order(Ranked(id_, near, near) for id_, near in cosine.items())


def _keyword(collection: Collection, query: Search, text: str) -> list[Ranked]:
    limit = query.limit if query.min_similarity is None else candidates(query.limit)
    bm25 = collection.words(text, query.where, limit=limit, without=query.exclude)
    cosine = {}
    if query.vector is not None:
        cosine = collection.near(query.vector, query.where, limit=len(bm25), among=set(bm25))
    return order(Ranked(id_, score, cosine.get(id_)) for id_, score in bm25.items())
