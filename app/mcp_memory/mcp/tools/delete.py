"""memory_delete and memory_cleanup."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_memory.domain.errors import MemoryNotFoundError
from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.tool import Tool, ToolAnswer
from mcp_memory.mcp.tools import filters
from mcp_memory.memories.requests import Conditions
from mcp_memory.memories.service import Memories

_NAMED = 20
"""Hashes that a text names; the structured answer has up to 1,000."""


async def delete(memories: Memories, arguments: Arguments) -> ToolAnswer:
    """By hash or by filter, in the default store unless another is named."""
    content_hash = arguments.filled("content_hash")
    dry_run = arguments.flag("dry_run")
    conditions = Conditions(
        tags=arguments.tags("tags"),
        tag_match=arguments.filled("tag_match") or "any",
        after=arguments.time("after"),
        before=arguments.time("before"),
        store=filters.store_choice(arguments),
    )
    if content_hash is None:
        answer = await memories.forget(conditions, dry_run=dry_run)
        return _deleted(answer.count, answer.hashes, dry_run=dry_run)
    answer = await memories.forget(conditions, hashes=[content_hash], dry_run=dry_run)
    if not answer.count:
        raise MemoryNotFoundError(content_hash)
    return _deleted(answer.count, answer.hashes, dry_run=dry_run)


def _deleted(count: int, hashes: Sequence[str], *, dry_run: bool) -> ToolAnswer:
    verb = "Would delete" if dry_run else "Successfully deleted"
    text = f"{verb} {count} memories" + (" (dry run: nothing was changed)" if dry_run else "")
    if hashes:
        more = count - min(count, _NAMED)
        text += "\n" + "\n".join(hashes[:_NAMED]) + (f"\n... and {more} more" if more else "")
    return ToolAnswer(
        text, {"message": text, "deleted_count": count, "deleted_hashes": list(hashes), "dry_run": dry_run}
    )


async def cleanup(memories: Memories, arguments: Arguments) -> ToolAnswer:
    report = await memories.cleanup(dry_run=arguments.flag("dry_run"))
    if not report.count:
        text = "No duplicate memories found"
    elif report.dry_run:
        text = f"Would remove {report.count} duplicate memories (dry run: nothing was changed)"
    else:
        text = f"Successfully removed {report.count} duplicate memories"
    return ToolAnswer(
        text,
        {
            "message": text,
            "deleted_count": report.count,
            "deleted_hashes": list(report.hashes),
            "dry_run": report.dry_run,
        },
    )


OUTPUT = schemas.mapping(
    {
        "message": schemas.text("What was done"),
        "deleted_count": schemas.integer("How many were deleted or, in a dry run, would be"),
        "deleted_hashes": schemas.texts("Their hashes, at most 1,000"),
        "dry_run": schemas.flag("Whether nothing was changed"),
    },
    required=("message", "deleted_count", "deleted_hashes", "dry_run"),
)
DRY_RUN = schemas.flag("Only say what would be deleted", default=False)

MEMORY_DELETE = Tool(
    name="memory_delete",
    title="Delete memories",
    description=(
        "Delete one memory by its hash, or all that meet every condition given (tags, time). For good: try conditions with "
        'dry_run=true first. Examples: {"content_hash": "<64 hex digits>"}; '
        '{"tags": ["scratch"], "before": "2025-01-01", "dry_run": true}'
    ),
    parameters={
        "content_hash": schemas.text("Hash of the memory to delete, 64 hex digits"),
        "tags": schemas.texts("Delete memories with these tags"),
        "tag_match": filters.TAG_MATCH,
        "before": schemas.text('Delete memories created before this time: "2025-01-15", ISO date-time or words'),
        "after": schemas.text("Delete memories created at or after this time"),
        "dry_run": DRY_RUN,
        "store": schemas.text('Store to delete from; "all" for every store', default=DEFAULT_STORE),
    },
    output=OUTPUT,
    run=delete,
    destructive=True,
)

MEMORY_CLEANUP = Tool(
    name="memory_cleanup",
    title="Remove duplicates",
    description=(
        "Remove memories that have the same text under several hashes (only imports can bring such); the newest stays. "
        'Rarely needed. Example: {"dry_run": true}'
    ),
    parameters={"dry_run": DRY_RUN},
    output=OUTPUT,
    run=cleanup,
    destructive=True,
)
