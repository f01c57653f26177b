"""memory_delete and memory_cleanup."""

from __future__ import annotations

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.render import first_words, short_hash
from mcp_memory.mcp.tool import Tool, ToolAnswer
from mcp_memory.mcp.tools import filters
from mcp_memory.memories.requests import Conditions, ForgetAnswer
from mcp_memory.memories.service import Memories

UNASKED = 10
"""Memories that a condition may delete without a word on how many."""


async def delete(memories: Memories, arguments: Arguments) -> ToolAnswer:
    """By hash or by filter, in the default store unless another is named."""
    hashes = arguments.texts("hashes")
    content_hash = arguments.filled("content_hash")
    if content_hash is not None:
        hashes = [content_hash, *hashes]
    return await remove(memories, arguments, hashes, unasked=UNASKED)


async def remove(memories: Memories, arguments: Arguments, hashes: list[str], *, unasked: int | None) -> ToolAnswer:
    """Delete by hashes or conditions. `unasked`: how many a condition may delete without `expect`; None: any number."""
    dry_run = arguments.flag("dry_run")
    conditions = Conditions(
        tags=arguments.tags("tags"),
        tag_match=arguments.filled("tag_match") or "any",
        memory_type=arguments.filled("memory_type"),
        after=arguments.time("after"),
        before=arguments.time("before"),
        time_expr=arguments.filled("time_expr"),
        store=filters.store_choice(arguments),
    )
    expect = None if arguments.raw("expect") is None else arguments.integer("expect", 0)
    if hashes:
        answer = await memories.forget(conditions, hashes=hashes, dry_run=dry_run)
        if not answer.count:
            there = await memories.get(hashes[0])  # raises where there is none
            raise InvalidInputError(
                f"{there.content_hash} is in the store {there.store!r} or doesn't meet the other conditions: nothing was "
                f"deleted. Give store={there.store}, or the hash alone.",
                field="store",
            )
        return _deleted(answer, asked=len(set(hashes)))
    if not any((conditions.tags, conditions.memory_type, conditions.after, conditions.before, conditions.time_expr)):
        raise InvalidInputError(
            "A delete needs at least one condition: content_hash, hashes, tags, memory_type, before, after or time_expr. "
            "A store alone is not one.",
            field="content_hash",
        )
    return _deleted(await memories.forget(conditions, dry_run=dry_run, expect=expect, unasked=unasked))


def _deleted(answer: ForgetAnswer, *, asked: int | None = None) -> ToolAnswer:
    verb = "Would delete" if answer.dry_run else "Successfully deleted"
    text = f"{verb} {answer.count} memories" + (" (dry run: nothing was changed)" if answer.dry_run else "")
    if asked is not None and asked > answer.count:
        text += f"; {asked - answer.count} of the {asked} hashes name none"
    if answer.dry_run and asked is None and answer.count > UNASKED:
        text += f". To delete them all: expect={answer.count}"
    preview = [first_words(memory) for memory in answer.preview]
    lines = list(preview)
    if answer.count > len(preview):
        lines.append(f"... and {answer.count - len(preview)} more")
    notes = {}
    if answer.predecessors:
        notes["still_stored"] = answer.predecessors
        named = ", ".join(map(short_hash, answer.predecessors))
        lines.append(
            f"Older versions that it had replaced are still stored, outside of results: {named}. Delete them too?"
        )
    return ToolAnswer(
        "\n".join([text, *lines]),
        {
            "message": text,
            "deleted_count": answer.count,
            "deleted_hashes": answer.hashes,
            "memories": preview,
            "dry_run": answer.dry_run,
            **notes,
        },
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
        "memories": schemas.texts("The first of them: hash, day, first words"),
        "dry_run": schemas.flag("Whether nothing was changed"),
        "still_stored": schemas.texts("Older versions that remain"),
    },
    required=("message", "deleted_count", "deleted_hashes", "dry_run"),
)
DRY_RUN = schemas.flag("Only show what would be deleted", default=False)

MEMORY_DELETE = Tool(
    name="memory_delete",
    title="Delete memories",
    description=(
        "Delete memories by hash, or all that meet every condition given. For good: look with dry_run=true first. "
        f"Conditions that meet more than {UNASKED} memories need expect, the number that the dry run told. "
        'Examples: {"content_hash": "0f35ee144d36"}; {"tags": ["scratch"], "before": "2025-01-01", "dry_run": true}'
    ),
    parameters={
        "content_hash": schemas.text("Hash of the memory to delete"),
        "hashes": schemas.texts("Several hashes"),
        "tags": schemas.texts("Delete memories with these tags"),
        "tag_match": filters.TAG_MATCH,
        "before": filters.BEFORE,
        "after": filters.AFTER,
        "dry_run": DRY_RUN,
        "expect": schemas.integer("How many it must be; else nothing is deleted", minimum=0),
        "store": schemas.text('Store to delete from; "all" for every store', default=DEFAULT_STORE),
    },
    accepted={"memory_type": filters.MEMORY_TYPE, "time_expr": filters.TIME_EXPR},
    aliases={
        **filters.GUESSED_TAGS,
        **dict.fromkeys(("hash", "id", "memory_hash"), "content_hash"),
        **dict.fromkeys(("content_hashes", "ids"), "hashes"),
        "confirm_count": "expect",
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
