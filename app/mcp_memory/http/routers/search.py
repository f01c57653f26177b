"""/api/search: find memories by meaning, words, tags and time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.http.answers import Json, search_json
from mcp_memory.http.dependencies import MemoriesDep
from mcp_memory.http.errors import RequestError
from mcp_memory.http.hash_path import Hash
from mcp_memory.http.schemas.common import problems
from mcp_memory.http.schemas.search import SearchIn, SearchOut, TagSearchIn, TimeSearchIn
from mcp_memory.memories.requests import Conditions, SearchRequest

router = APIRouter(prefix="/api/search", tags=["search"])
BODY = problems(400, 408, 413, 422)


@router.post("", response_model=SearchOut, responses=BODY)
async def search(memories: MemoriesDep, request: SearchIn) -> Json:
    """Search by meaning and words (`hybrid`), meaning, words, or substring, under conditions."""
    answer = await memories.search(
        SearchRequest(
            query=request.query,
            mode=request.mode,
            conditions=request.conditions(),
            limit=request.n_results,
            similarity_threshold=request.similarity_threshold,
        )
    )
    return Json(search_json(answer))


@router.post("/by-tag", response_model=SearchOut, responses=BODY)
async def search_by_tag(memories: MemoriesDep, request: TagSearchIn) -> Json:
    """The newest memories that carry any (or all) of the tags."""
    if not request.tags:
        raise RequestError(400, "invalid_input", "Name at least one tag.", field="tags")
    conditions = Conditions(
        tags=request.tags,
        tag_match="all" if request.match_all else "any",
        time_expr=request.time_filter,
        store=request.store,
    )
    return Json(search_json(await memories.search(SearchRequest(conditions=conditions, limit=request.limit))))


@router.post("/by-time", response_model=SearchOut, responses=BODY)
async def search_by_time(memories: MemoriesDep, request: TimeSearchIn) -> Json:
    """The memories of a time in words; ranked by `semantic_query` where one is given, else newest first."""
    conditions = Conditions(time_expr=request.query, store=request.store)
    try:
        answer = await memories.search(
            SearchRequest(query=request.semantic_query, conditions=conditions, limit=request.n_results)
        )
    except InvalidInputError as error:
        raise RequestError(400, error.code, error.message, field=error.field) from error
    return Json(search_json(answer))


@router.get("/similar/{content_hash:hash}", response_model=SearchOut, responses=problems(404, 422))
async def search_similar(
    memories: MemoriesDep,
    content_hash: Hash,
    n_results: Annotated[int, Query(ge=1, le=100)] = 10,
    store: Annotated[str | None, Query(description="Named store; `all` or nothing means every store")] = None,
    similarity_threshold: Annotated[float | None, Query(ge=0, le=1)] = None,
) -> Json:
    """The memories whose meaning is nearest to a stored one, itself left out."""
    answer = await memories.similar(
        content_hash, limit=n_results, store=store, similarity_threshold=similarity_threshold
    )
    return Json(search_json(answer))
