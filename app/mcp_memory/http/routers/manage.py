"""/api/manage: work on many memories at a time, as the original service's dashboard asks for it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from mcp_memory.http.answers import Json
from mcp_memory.http.dependencies import MemoriesDep
from mcp_memory.http.errors import RequestError
from mcp_memory.http.known_fields import KNOWN, NO_BODY
from mcp_memory.http.schemas.analytics import TagStatisticsOut
from mcp_memory.http.schemas.common import READ, WRITE, problems
from mcp_memory.http.schemas.manage import BulkDeleteIn, OperationOut
from mcp_memory.memories.requests import Conditions

router = APIRouter(prefix="/api/manage", tags=["manage"], dependencies=KNOWN)


@router.post("/bulk-delete", response_model=OperationOut, responses=WRITE)
async def bulk_delete(memories: MemoriesDep, request: BulkDeleteIn) -> Json:
    """Delete by tag, age or type. With `confirm_count` nothing is deleted unless exactly so many memories match."""
    # One tag as it stands: a comma doesn't make two of it, as it doesn't in the original service.
    tags = None if request.tag is None else [request.tag]
    conditions = Conditions(tags=tags, memory_type=request.memory_type, before=request.before_date, store="all")
    if request.dry_run or request.confirm_count is not None:
        found = (await memories.forget(conditions, dry_run=True)).count
        if request.confirm_count is not None and found != request.confirm_count:
            message = f"confirm_count is {request.confirm_count}, but {found} memories match: nothing was deleted."
            raise RequestError(400, "confirmation_mismatch", message, field="confirm_count")
        if request.dry_run:
            return Json(
                _operation("bulk_delete", found, f"Would delete {found} memories (dry run: nothing was changed)")
            )
    answer = await memories.forget(conditions)
    return Json(_operation("bulk_delete", answer.count, f"Deleted {answer.count} memories"))


@router.post(
    "/cleanup-duplicates", response_model=OperationOut, responses=problems(415, 422, 507), dependencies=NO_BODY
)
async def cleanup_duplicates(
    memories: MemoriesDep,
    *,
    dry_run: Annotated[bool, Query(description="Only count them", examples=[True])] = False,
) -> Json:
    """Remove duplicates that imports brought in."""
    report = await memories.cleanup(dry_run=dry_run)
    verb = "Would remove" if dry_run else "Removed"
    return Json(_operation("cleanup_duplicates", report.count, f"{verb} {report.count} duplicates"))


@router.get("/tags/stats", response_model=TagStatisticsOut, responses=READ)
async def tag_statistics(memories: MemoriesDep) -> Json:
    """Every tag of every store with its number of memories, most frequent first."""
    counts = await memories.tags("all")
    tags: list[dict[str, object]] = [
        {"tag": tag, "count": count, "last_used": None, "memory_types": []} for tag, count in counts.items()
    ]
    return Json({"tags": tags, "total_tags": len(tags)})


def _operation(name: str, count: int, message: str) -> dict[str, object]:
    return {"success": True, "message": message, "affected_count": count, "operation": name}
