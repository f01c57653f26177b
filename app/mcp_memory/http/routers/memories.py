"""/api/memories: store, read, change and delete memories."""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query

from mcp_memory.domain.agents import from_header
from mcp_memory.domain.checks import EVERY_STORE
from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.http.answers import Json, memories_json, memory_json
from mcp_memory.http.dependencies import MemoriesDep
from mcp_memory.http.errors import RequestError
from mcp_memory.http.hash_path import Hash
from mcp_memory.http.known_fields import KNOWN, NO_BODY
from mcp_memory.http.schemas.common import READ, WRITE, MemoryOut, ReadStore, problems
from mcp_memory.http.schemas.memories import (
    BulkIn,
    BulkOut,
    DeleteOut,
    ForgetIn,
    ForgetOut,
    HashesOut,
    MemoryIn,
    MemoryPageOut,
    StoreOut,
)
from mcp_memory.memories.requests import Conditions, StoreResult, StoreStatus

router = APIRouter(prefix="/api/memories", tags=["memories"], dependencies=KNOWN)

WriteStore = Annotated[str, Query(description="The store that the memory is in; `all` is for reads only")]
AgentHeader = Annotated[
    str | None, Header(alias="X-Agent-ID", description="Kept as `metadata.agent_id` and as the tag `agent:<id>`")
]
HostHeader = Annotated[
    str | None,
    Header(alias="X-Client-Hostname", description="Kept as `metadata.hostname` and as the tag `source:<host>`"),
]
PageNumber = Annotated[int, Query(ge=1, le=1_000_000)]
PageSize = Annotated[int | None, Query(ge=1, le=100, description="10 unless given")]


@router.post("", response_model=StoreOut, responses=WRITE)
async def store_memory(
    memories: MemoriesDep, memory: MemoryIn, agent: AgentHeader = None, host: HostHeader = None
) -> Json:
    """Store one memory, durably. A duplicate is answered with 200, `success: false` and the stored memory."""
    refuse_all_stores(memory.store)
    dedup = False if memory.conversation_id is not None else None
    return Json(
        _stored_json(await memories.store(memory.to_new(from_header(agent), from_header(host)), semantic_dedup=dedup))
    )


@router.post("/bulk", response_model=BulkOut, responses=WRITE)
async def store_memories(
    memories: MemoriesDep, bulk: BulkIn, agent: AgentHeader = None, host: HostHeader = None
) -> Json:
    """Store up to 1,000 memories with one durable write; one result for each, in order."""
    for memory in bulk.memories:
        refuse_all_stores(memory.store)
    results = await memories.store_many(
        [memory.to_new(from_header(agent), from_header(host)) for memory in bulk.memories],
        skip_invalid=bulk.skip_invalid,
    )
    counts = {status: sum(result.status is status for result in results) for status in StoreStatus}
    return Json(
        {
            "success": counts[StoreStatus.INVALID] == 0,
            "stored": counts[StoreStatus.STORED],
            "duplicates": counts[StoreStatus.DUPLICATE] + counts[StoreStatus.SIMILAR],
            "invalid": counts[StoreStatus.INVALID],
            "results": [
                {
                    "status": result.status.value,
                    "message": result.message,
                    "content_hash": result.memory.content_hash if result.memory else None,
                }
                for result in results
            ],
        }
    )


@router.get("", response_model=MemoryPageOut, responses=READ)
async def list_memories(
    memories: MemoriesDep,
    *,
    page: PageNumber = 1,
    page_size: PageSize = None,
    limit: Annotated[int | None, Query(ge=1, le=100, description="As `page_size`, from older clients")] = None,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before; instead of `page`")] = None,
    tag: Annotated[str | None, Query(description="One tag, or several separated by commas")] = None,
    tag_match: Annotated[str, Query(description="any or all")] = "any",
    memory_type: str | None = None,
    after: str | None = None,
    before: str | None = None,
    time_expr: str | None = None,
    store: str = DEFAULT_STORE,
    include_superseded: Annotated[bool, Query(description="Also memories that a newer one replaced")] = False,
) -> Json:
    """Newest first."""
    conditions = Conditions(
        tags=tag,
        tag_match=tag_match,
        memory_type=memory_type,
        after=after,
        before=before,
        time_expr=time_expr,
        store=store,
        include_superseded=include_superseded,
    )
    size = page_size or limit or 10
    listing = await memories.page(conditions, limit=size, cursor=cursor, page=page)
    return Json(
        {
            "memories": memories_json(listing.memories),
            "total": listing.total,
            "page": page,
            "page_size": size,
            "total_pages": math.ceil(listing.total / size),
            "has_more": listing.next is not None,
            "next_cursor": listing.next.encode() if listing.next else None,
        }
    )


@router.get("/hashes", response_model=HashesOut, responses=READ)
async def list_hashes(
    memories: MemoriesDep,
    cursor: Annotated[str, Query(description="`next_cursor` of the answer before; 0 for the beginning")] = "0",
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
    include_deleted: Annotated[  # noqa: ARG001
        bool, Query(description="Changes nothing: what is deleted here leaves nothing behind")
    ] = False,
) -> Json:
    """Every content hash of every store, in an order that stays the same while memories are stored."""
    hashes, following = await memories.hashes(cursor, limit=limit)
    return Json({"hashes": hashes, "next_cursor": following, "has_more": following is not None})


@router.post("/delete", response_model=ForgetOut, responses=WRITE)
async def forget_memories(memories: MemoriesDep, request: ForgetIn) -> Json:
    """Delete the named memories, or all that meet the conditions; with `dry_run` only count them."""
    answer = await memories.forget(request.conditions(), hashes=request.hashes, dry_run=request.dry_run)
    verb = "would be deleted" if answer.dry_run else "deleted"
    return Json(
        {
            "success": True,
            "message": f"{answer.count} {'memory' if answer.count == 1 else 'memories'} {verb}",
            "count": answer.count,
            "hashes": answer.hashes,
            "dry_run": answer.dry_run,
        }
    )


@router.get("/{content_hash:hash}", response_model=MemoryOut, responses=problems(404, 422))
async def get_memory(memories: MemoriesDep, content_hash: Hash, store: ReadStore = DEFAULT_STORE) -> Json:
    """One memory by its hash, where it is in the store that is asked for."""
    return Json(memory_json(await memories.get(content_hash, store=store)))


@router.delete(
    "/{content_hash:hash}", response_model=DeleteOut, responses=problems(400, 404, 422, 507), dependencies=NO_BODY
)
async def delete_memory(memories: MemoriesDep, content_hash: Hash, store: WriteStore = DEFAULT_STORE) -> Json:
    """Delete one memory, durably, where it is in the store that is named."""
    refuse_all_stores(store)
    deleted = await memories.delete(content_hash, store=store)
    return Json({"success": True, "message": "Memory deleted", "content_hash": deleted})


def refuse_all_stores(store: str) -> None:
    """400 for what is written to every store at once, or to none: as in the original service, `all` is for reads."""
    if store.strip().lower() == EVERY_STORE:
        message = "store='all' is only valid for reads: a memory lives in one store, so name it."
        raise RequestError(400, "invalid_store", message, field="store")
    if not store.strip():
        raise RequestError(
            422, "invalid_store", "The store is given and empty: name it, or leave it out.", field="store"
        )


def _stored_json(result: StoreResult) -> dict[str, Any]:
    memory = result.memory
    return {
        "success": result.stored,
        "message": result.message,
        "content_hash": memory.content_hash if memory else None,
        "memory": memory_json(memory) if memory else None,
        "status": result.status.value,
    }
