"""/api/memories: store, read, change and delete memories."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query

from mcp_memory.domain.hashes import is_computed
from mcp_memory.domain.memory import DEFAULT_STORE, point_id
from mcp_memory.http.answers import Json, memories_json, memory_json
from mcp_memory.http.dependencies import MemoriesDep
from mcp_memory.http.errors import RequestError
from mcp_memory.http.hash_path import Hash
from mcp_memory.http.schemas.common import READ, WRITE, MemoryOut, problems
from mcp_memory.http.schemas.memories import (
    BulkIn,
    BulkOut,
    DeleteOut,
    ForgetIn,
    ForgetOut,
    HashesOut,
    MemoryChangesIn,
    MemoryIn,
    MemoryPageOut,
    StoreOut,
    UpdateOut,
)
from mcp_memory.memories.requests import Conditions, StoreResult, StoreStatus

router = APIRouter(prefix="/api/memories", tags=["memories"])

POINT_CURSOR = re.compile(r"point_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
StoreQuery = Annotated[str | None, Query(description="Named store; `all` or nothing means every store")]
Agent = Annotated[str | None, Header(alias="X-Agent-ID", description="Adds the tag `agent:<id>`")]
PageNumber = Annotated[int, Query(ge=1, le=1_000_000)]
PageSize = Annotated[int, Query(ge=1, le=100)]


@router.post("", response_model=StoreOut, responses=WRITE)
async def store_memory(memories: MemoriesDep, memory: MemoryIn, agent: Agent = None) -> Json:
    """Store one memory, durably. A duplicate is answered with 200, `success: false` and the stored memory."""
    _refuse_all_stores(memory)
    dedup = False if memory.conversation_id is not None else None
    return Json(_stored_json(await memories.store(memory.to_new(agent), semantic_dedup=dedup)))


@router.post("/bulk", response_model=BulkOut, responses=WRITE)
async def store_memories(memories: MemoriesDep, bulk: BulkIn, agent: Agent = None) -> Json:
    """Store up to 1,000 memories with one durable write; one result for each, in order."""
    for memory in bulk.memories:
        _refuse_all_stores(memory)
    results = await memories.store_many(
        [memory.to_new(agent) for memory in bulk.memories], skip_invalid=bulk.skip_invalid
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
    page_size: PageSize = 10,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before; instead of `page`")] = None,
    tag: Annotated[str | None, Query(description="One tag, or several separated by commas")] = None,
    tag_match: Annotated[str, Query(description="any or all")] = "any",
    memory_type: str | None = None,
    after: str | None = None,
    before: str | None = None,
    time_expr: str | None = None,
    store: str = DEFAULT_STORE,
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
    )
    listing = await memories.page(conditions, limit=page_size, cursor=cursor, page=page)
    return Json(
        {
            "memories": memories_json(listing.memories),
            "total": listing.total,
            "page": page,
            "page_size": page_size,
            "has_more": listing.next is not None,
            "next_cursor": listing.next.encode() if listing.next else None,
        }
    )


@router.get("/hashes", response_model=HashesOut, responses=READ)
async def list_hashes(
    memories: MemoriesDep,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the answer before")] = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> Json:
    """Every content hash, in an order that stays the same while memories are stored."""
    hashes: list[str] = []
    point = POINT_CURSOR.fullmatch(cursor or "")
    async for memory in memories.export(after_hash=None if point else cursor, after_id=point[1] if point else None):
        hashes.append(memory.content_hash)
        if len(hashes) > limit:
            break
    page, more = hashes[:limit], len(hashes) > limit
    return Json({"hashes": page, "next_cursor": _cursor(page[-1]) if more else None, "has_more": more})


def _cursor(hash_: str) -> str:
    """The hash itself; for a name that no cursor could be told from a slip, the point's id."""
    return hash_ if is_computed(hash_) else f"point_{point_id(hash_)}"


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
async def get_memory(memories: MemoriesDep, content_hash: Hash, store: StoreQuery = None) -> Json:
    """One memory by its hash."""
    return Json(memory_json(await memories.get(content_hash, store=store)))


@router.put("/{content_hash:hash}", response_model=UpdateOut, responses=WRITE | problems(404))
async def update_memory(
    memories: MemoriesDep, content_hash: Hash, changes: MemoryChangesIn, store: StoreQuery = None
) -> Json:
    """Change tags, type or metadata; the text of a memory never changes."""
    memory = await memories.update(
        content_hash,
        tags=changes.tags,
        memory_type=changes.memory_type,
        metadata=changes.metadata,
        preserve_timestamps=changes.preserve_timestamps,
        store=store,
    )
    return Json(
        {
            "success": True,
            "message": "Memory updated",
            "content_hash": memory.content_hash,
            "memory": memory_json(memory),
        }
    )


@router.delete("/{content_hash:hash}", response_model=DeleteOut, responses=problems(404, 422, 507))
async def delete_memory(memories: MemoriesDep, content_hash: Hash, store: StoreQuery = None) -> Json:
    """Delete one memory, durably."""
    deleted = await memories.delete(content_hash, store=store)
    return Json({"success": True, "message": "Memory deleted", "content_hash": deleted})


def _refuse_all_stores(memory: MemoryIn) -> None:
    if memory.store == "all":
        message = "A memory lives in one store: `all` stands for every store in searches and can't be stored into."
        raise RequestError(400, "invalid_store", message, field="store")


def _stored_json(result: StoreResult) -> dict[str, Any]:
    memory = result.memory
    return {
        "success": result.stored,
        "message": result.message,
        "content_hash": memory.content_hash if memory else None,
        "memory": memory_json(memory) if memory else None,
        "status": result.status.value,
    }
