"""/api/memories: change one memory or many, or move them to another store."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from mcp_memory.domain.checks import EVERY_STORE
from mcp_memory.domain.errors import MemoryNotFoundError
from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.http.answers import Json, memory_json
from mcp_memory.http.dependencies import MemoriesDep
from mcp_memory.http.hash_path import Hash
from mcp_memory.http.known_fields import KNOWN
from mcp_memory.http.routers.memories import WriteStore, refuse_all_stores
from mcp_memory.http.schemas.common import WRITE, problems
from mcp_memory.http.schemas.memories import ManyChangesIn, ManyUpdatedOut, MemoryChangesIn, UpdateOut
from mcp_memory.memories.requests import Changes

router = APIRouter(prefix="/api/memories", tags=["memories"], dependencies=KNOWN)


@router.post("/update", response_model=ManyUpdatedOut, responses=WRITE | problems(404))
async def update_memories(
    memories: MemoriesDep,
    request: ManyChangesIn,
    store: Annotated[str, Query(description="Only memories that are in this store now; `all` for any")] = EVERY_STORE,
) -> Json:
    """The same changes for each of the named memories, such as a move to another store; 404 where no hash names one."""
    if request.store is not None:
        refuse_all_stores(request.store)
    answer = await memories.update_many(
        request.hashes, request.changes, preserve_timestamps=request.preserve_timestamps, store=store
    )
    if not answer.changed:
        raise MemoryNotFoundError(answer.missing[0])
    number = len(answer.changed)
    message = f"{number} {'memory' if number == 1 else 'memories'} updated"
    if answer.missing:
        message += f"; {len(answer.missing)} of the hashes name none"
    return Json(
        {
            "success": not answer.missing,
            "message": message,
            "updated": number,
            "hashes": [memory.content_hash for memory in answer.changed],
            "missing": answer.missing,
        }
    )


@router.put("/{content_hash:hash}", response_model=UpdateOut, responses=WRITE | problems(404))
async def update_memory(
    memories: MemoriesDep, content_hash: Hash, changes: MemoryChangesIn, store: WriteStore = DEFAULT_STORE
) -> Json:
    """Change tags, type or metadata, or move to another store; the text of a memory never changes. Nothing to change is no
    error.
    """
    refuse_all_stores(store)
    if changes.store is not None:
        refuse_all_stores(changes.store)
    asked = changes.changes
    message = "Memory updated"
    if asked == Changes():
        message = "No updates provided - memory unchanged"
        memory = await memories.get(content_hash, store=store)
    else:
        memory = await memories.update(
            content_hash,
            tags=asked.tags,
            add_tags=asked.add_tags,
            remove_tags=asked.remove_tags,
            memory_type=asked.memory_type,
            metadata=asked.metadata,
            move_to=asked.store,
            preserve_timestamps=changes.preserve_timestamps,
            store=store,
        )
    return Json(
        {
            "success": True,
            "message": message,
            "content_hash": memory.content_hash,
            "memory": memory_json(memory),
        }
    )
