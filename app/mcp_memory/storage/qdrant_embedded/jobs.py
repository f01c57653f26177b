"""Requests as work in slices: a generator that does a few milliseconds at a time and returns the answer.

Between two slices the engine answers others, so that a bulk load or a large delete never holds up a search.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import islice
from typing import TypeAlias, TypeVar

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import normalise_for_matching
from mcp_memory.domain.query import EVERYTHING, Cursor, SearchMode
from mcp_memory.storage.hybrid import Ranked, near_enough
from mcp_memory.storage.qdrant_embedded.collection import Collection
from mcp_memory.storage.qdrant_embedded.listing import walk
from mcp_memory.storage.qdrant_embedded.protocol import (
    Count,
    Counts,
    Delete,
    DeleteMatching,
    Done,
    Existed,
    Facet,
    Failure,
    Get,
    Hits,
    ListPage,
    Number,
    Ping,
    ReadRequest,
    Record,
    Records,
    Response,
    Scroll,
    Search,
    Update,
    Upsert,
    WriteRequest,
)
from mcp_memory.storage.qdrant_embedded.search import ranked_search, winners

Job: TypeAlias = Generator[None, None, Response]
T = TypeVar("T")

UPSERT_SLICE = 32
DELETE_SLICE = 64
READ_SLICE = 256


def begin(collection: Collection, request: WriteRequest | ReadRequest) -> Job:
    """The job of a request; nothing is done before its first step."""
    match request:
        case Upsert():
            job = _upsert(collection, request)
        case Delete():
            job = _delete(collection, request)
        case DeleteMatching():
            job = _delete_matching(collection, request)
        case Get():
            job = _get(collection, request)
        case ListPage():
            job = _page(collection, request)
        case Search(text=None, vector=None):
            job = _newest(collection, request)
        case Search(mode=SearchMode.EXACT, text=str(text)):
            job = _exact(collection, request, text)
        case Facet():
            job = _facet(collection, request)
        case _:
            job = _at_once(collection, request)
    return job


def _at_once(collection: Collection, request: WriteRequest | ReadRequest) -> Job:
    """What one short call answers."""
    yield from ()
    match request:
        case Update():
            payload = collection.update(request)
            return Records([] if payload is None else [Record(request.id, payload)])
        case Search():
            return ranked_search(collection, request)
        case Scroll():
            return Records(
                collection.scroll(request.where, limit=request.limit, after=request.after, only=request.only)
            )
        case Count():
            return Number(collection.count(request.where))
        case Ping():
            collection.newest(EVERYTHING, limit=1)
            return Done()
        case _:
            return Failure("storage_error", f"The engine doesn't know the request {type(request).__name__}.")


def _slices(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _upsert(collection: Collection, request: Upsert) -> Job:
    flags: list[bool] = []
    for records in _slices(request.records, UPSERT_SLICE):
        if flags:
            yield
        flags += collection.upsert(records, insert_only=request.insert_only, keep_revisions=request.keep_revisions)
    return Existed(flags)


def _delete(collection: Collection, request: Delete) -> Job:
    flags: list[bool] = []
    for ids in _slices(request.ids, DELETE_SLICE):
        if flags:
            yield
        flags += collection.delete(ids)
    return Existed(flags)


def _delete_matching(collection: Collection, request: DeleteMatching) -> Job:
    if request.where.empty:
        raise InvalidInputError("Deleting needs at least one condition; an empty filter would delete everything.")
    total = 0
    after: str | None = None
    while found := collection.scroll(request.where, limit=DELETE_SLICE, after=after, payload=False):
        ids = [record.id for record in found]
        total += sum(collection.delete(ids))
        after = ids[-1]
        yield
    return Number(total)


def _get(collection: Collection, request: Get) -> Job:
    records: list[Record] = []
    for ids in _slices(request.ids, READ_SLICE):
        if records:
            yield
        records += collection.get(ids, vectors=request.vectors)
    return Records(records)


def _page(collection: Collection, request: ListPage) -> Job:
    wanted = request.offset + request.limit + 1
    found: list[Cursor] = []
    skipped = 0
    for positions in walk(collection, request.where, request.cursor, first=wanted):
        found += positions
        surplus = min(len(found), request.offset - skipped)
        del found[:surplus]
        skipped += surplus
        if len(found) > request.limit:
            break
        yield
    ids = [position.id for position in found[: request.limit]]
    stored = {record.id: record for record in collection.get(ids)}
    return Records([stored[id_] for id_ in ids if id_ in stored], more=len(found) > request.limit)


def _newest(collection: Collection, request: Search) -> Job:
    """No text and no vector: the newest that match."""
    ids: list[str] = []
    for positions in walk(collection, request.where, None, first=request.limit + 1):
        ids += [position.id for position in positions if position.id != request.exclude]
        if len(ids) >= request.limit:
            break
        yield
    return winners(collection, [Ranked(id_, 1.0, None) for id_ in ids[: request.limit]])


def _exact(collection: Collection, request: Search, text: str) -> Job:
    """Newest first, until enough texts hold the words asked for: a rare one costs a look at every text, in slices."""
    wanted = normalise_for_matching(text)
    ranked: list[Ranked] = []
    for positions in walk(collection, request.where, None):
        ids = [position.id for position in positions if position.id != request.exclude]
        contents = collection.contents(ids)
        found = [id_ for id_ in ids if wanted in normalise_for_matching(contents.get(id_, ""))]
        cosine = {}
        if request.vector is not None:
            cosine = collection.near(request.vector, EVERYTHING, limit=len(found), among=set(found))
        hits = (Ranked(id_, 1.0, cosine.get(id_)) for id_ in found)
        ranked += [hit for hit in hits if near_enough(hit.cosine, request.min_similarity)]
        if len(ranked) >= request.limit:
            break
        yield
    return winners(collection, list(islice(ranked, request.limit))) if ranked else Hits([])


def _facet(collection: Collection, request: Facet) -> Job:
    counts = collection.facet(request.field, request.where)
    yield from ()
    return Counts(counts)
