"""memory_update."""

from __future__ import annotations

from typing import Any

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.tags import parse_tags
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.render import memory_object
from mcp_memory.mcp.tool import Tool, ToolAnswer
from mcp_memory.memories.service import Memories

_FIXED = (
    "content",
    "content_hash",
    "created_at",
    "created_at_iso",
    "updated_at",
    "updated_at_iso",
    "store",
    "revision",
)


async def update(memories: Memories, arguments: Arguments) -> ToolAnswer:
    """As in the original, keys of `updates` that are no field of a memory go into its metadata."""
    updates = arguments.mapping("updates") or {}
    _refuse_fixed(updates)
    fields = Arguments(updates)
    metadata = fields.mapping("metadata")
    others = {key: value for key, value in updates.items() if key not in ("tags", "memory_type", "type", "metadata")}
    if others:
        metadata = {**(metadata or {}), **others}
    memory = await memories.update(
        arguments.required("content_hash"),
        # An empty list takes all tags away; a missing one leaves them.
        tags=None if updates.get("tags") is None else parse_tags(updates["tags"]),
        memory_type=fields.filled("memory_type") or fields.filled("type"),
        metadata=metadata,
        preserve_timestamps=arguments.flag("preserve_timestamps", default=True),
    )
    changed = ", ".join(updates)
    text = f"Successfully updated memory metadata. Updated fields: {changed} (hash: {memory.content_hash})"
    return ToolAnswer(text, {"message": text, "content_hash": memory.content_hash, "memory": memory_object(memory)})


def _refuse_fixed(updates: dict[str, Any]) -> None:
    for name in _FIXED:
        if name in updates:
            raise InvalidInputError(
                f"{name} can't be changed. To change the text, store the new one with memory_store and delete the old "
                "one with memory_delete.",
                field=f"updates.{name}",
            )


MEMORY_UPDATE = Tool(
    name="memory_update",
    title="Update a memory",
    description=(
        "Change tags, type or metadata of a memory whose hash is known from a search. Tags replace the old ones; metadata "
        "is merged key by key. The text itself can't be changed: store the new one and delete the old one. "
        'Example: {"content_hash": "<64 hex digits>", "updates": {"tags": ["atlas", "done"], "metadata": {"rating": 5}}}'
    ),
    parameters={
        "content_hash": schemas.text("Hash of the memory, 64 hex digits"),
        "updates": schemas.mapping(
            {
                "tags": schemas.texts("New tags, in place of all old ones"),
                "memory_type": schemas.text("New type"),
                "metadata": schemas.mapping({}, description="Keys to add or change", open_ended=True),
            },
            description="What to change; keys besides tags, memory_type and metadata go into the metadata",
            open_ended=True,
        ),
        "preserve_timestamps": schemas.flag("Leave updated_at as it is where only metadata changes", default=True),
    },
    accepted={"versioned": schemas.flag(f"Memories are changed in place. {schemas.WITHOUT_EFFECT}", default=False)},
    required=("content_hash", "updates"),
    output=schemas.mapping(
        {
            "message": schemas.text("What was changed"),
            "content_hash": schemas.text("The memory's hash"),
            "memory": schemas.memory("The memory as it is now"),
        },
        required=("message", "content_hash", "memory"),
    ),
    run=update,
)
