"""/api/search: find memories by meaning, words, tags and time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.http.answers import Json, search_json
from mcp_memory.http.dependencies import MemoriesDep
from mcp_memory.http.errors import RequestError
from mcp_memory.http.hash_path import Hash
from mcp_memory.http.known_fields import KNOWN
from mcp_memory.http.schemas.common import ReadStore, problems
from mcp_memory.http.schemas.search import SearchIn, SearchOut, TagSearchIn, TimeSearchIn
from mcp_memory.http.streams import everything
from mcp_memory.memories.requests import Conditions, SearchRequest

router = APIRouter(prefix="/api/search", tags=["search"], dependencies=KNOWN)
BODY = problems(400, 408, 413, 415, 422)


@router.post("", response_model=SearchOut, responses=BODY)
async def search(memories: MemoriesDep, request: SearchIn) -> Json:
    """Search by meaning and words (`hybrid`), meaning, words, or substring, under conditions."""
    answer = await memories.search(
        SearchRequest(
            query=request.query,
            mode=request.mode,
            conditions=request.conditions(),
            limit=request.n_results or request.limit or 10,
            similarity_threshold=request.threshold
            if request.similarity_threshold is None
            else request.similarity_threshold,
        )
    )
    return Json(search_json(answer))


@router.post("/by-tag", response_model=SearchOut, responses=BODY)
async def search_by_tag(memories: MemoriesDep, request: TagSearchIn) -> Response:
    """Memories that carry any (or all) of the tags, newest first: all of them, unless a limit is given."""
    if not request.tags:
        raise RequestError(400, "invalid_input", "Name at least one tag.", field="tags")
    conditions = Conditions(
        tags=request.tags,
        tag_match="all" if request.match_all else "any",
        time_expr=request.time_filter,
        open_ended=True,
        store=request.store,
        include_superseded=request.include_superseded,
    )
    try:
        if request.limit is None:
            return await everything(memories, conditions)
        return Json(search_json(await memories.search(SearchRequest(conditions=conditions, limit=request.limit))))
    except InvalidInputError as error:
        if error.field != "time_expr":
            raise
        raise RequestError(400, error.code, error.message, field="time_filter") from error


@router.post("/by-time", response_model=SearchOut, responses=BODY)
async def search_by_time(memories: MemoriesDep, request: TimeSearchIn) -> Json:
    """The memories of a time in words; ranked by `semantic_query` where one is given, else newest first."""
    try:
        expression, rest = memories.split_time(request.query)
        if expression is None:
            expression, rest = request.query, None
        asked = request.semantic_query if request.semantic_query and request.semantic_query.strip() else rest
        conditions = Conditions(
            time_expr=expression, store=request.store, include_superseded=request.include_superseded
        )
        answer = await memories.search(SearchRequest(query=asked, conditions=conditions, limit=request.n_results))
    except InvalidInputError as error:
        raise RequestError(400, error.code, error.message, field=error.field) from error
    return Json(search_json(answer))


@router.get("/similar/{content_hash:hash}", response_model=SearchOut, responses=problems(404, 422))
async def search_similar(
    memories: MemoriesDep,
    content_hash: Hash,
    n_results: Annotated[int, Query(ge=1, le=100)] = 10,
    store: ReadStore = DEFAULT_STORE,
    similarity_threshold: Annotated[float | None, Query(ge=0, le=1)] = None,
) -> Json:
    """The memories whose meaning is nearest to a stored one, itself left out."""
    answer = await memories.similar(
        content_hash, limit=n_results, store=store, similarity_threshold=similarity_threshold
    )
    return Json(search_json(answer))
