"""memory_update."""

from __future__ import annotations

from typing import Any, Final

from mcp_memory.domain.errors import InvalidInputError, MemoryNotFoundError
from mcp_memory.domain.tags import parse_tags
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.render import heading, memory_object, short_hash
from mcp_memory.mcp.tool import Tool, ToolAnswer, nearest_name
from mcp_memory.memories.requests import Changes
from mcp_memory.memories.service import Memories

FIELDS: Final = ("tags", "add_tags", "remove_tags", "memory_type", "metadata", "store")
_GUESSED: Final = {"type": "memory_type", "tag": "tags"}
_NAMED = 20


async def update(memories: Memories, arguments: Arguments) -> ToolAnswer:
    changes = _changes(arguments)
    hashes = arguments.texts("hashes")
    content_hash = arguments.filled("content_hash")
    preserve = arguments.flag("preserve_timestamps", default=True)
    if content_hash is not None:
        hashes = [content_hash, *hashes]
    if not hashes:
        raise InvalidInputError("The argument content_hash is required, or hashes for several.", field="content_hash")
    answer = await memories.update_many(hashes, changes, preserve_timestamps=preserve)
    if not answer.changed:
        raise MemoryNotFoundError(answer.missing[0])
    names = ", ".join(name for name in FIELDS if getattr(changes, name) is not None)
    if len(hashes) == 1:
        memory = answer.changed[0]
        text = f"Successfully updated memory metadata. Updated fields: {names} (hash: {memory.content_hash})"
        whole = {"content_hash": memory.content_hash, "memory": memory_object(memory)}
        return ToolAnswer(f"{text}\n{heading(memory)}", {"message": text, "updated_count": 1, "missing": [], **whole})
    text = f"Updated {len(answer.changed)} memories ({names})"
    if answer.missing:
        text += f"; no memory has the hash {', '.join(answer.missing)}"
    named = [heading(memory) for memory in answer.changed[:_NAMED]]
    return ToolAnswer(
        "\n".join([text, *named]),
        {
            "message": text,
            "updated_count": len(answer.changed),
            "missing": answer.missing,
            "hashes": [short_hash(memory.content_hash) for memory in answer.changed],
        },
    )


def _changes(arguments: Arguments) -> Changes:
    """From `updates`; the same names beside it are accepted too."""
    given = dict(arguments.mapping("updates") or {})
    for name in FIELDS:
        if (value := arguments.raw(name)) is not None:
            given.setdefault(name, value)
    given = {_GUESSED.get(name, name): value for name, value in given.items()}
    for name in given:
        _check_field(name)
    fields = Arguments(given)
    return Changes(
        # An empty list takes all tags away; a missing one leaves them.
        tags=None if given.get("tags") is None else parse_tags(given["tags"]),
        memory_type=fields.filled("memory_type"),
        metadata=fields.mapping("metadata"),
        add_tags=fields.tags("add_tags"),
        remove_tags=fields.tags("remove_tags"),
        store=fields.filled("store"),
    )


def _check_field(name: str) -> None:
    if name in FIELDS:
        return
    if name == "content":
        raise InvalidInputError(
            "content can't be changed. Store the new text with memory_store and replaces=<this hash>: "
            "the old one stays by its hash and leaves results.",
            field="updates.content",
        )
    near = nearest_name(name, FIELDS)
    hint = f" Did you mean {near}?" if near else " A value of your own belongs into updates.metadata."
    raise InvalidInputError(
        f"{name[:80]} can't be changed.{hint} What can: {', '.join(FIELDS)}.", field=f"updates.{name[:80]}"
    )


def _fields() -> dict[str, Any]:
    return {
        "tags": schemas.texts("In place of all old tags"),
        "add_tags": schemas.texts("Tags to add"),
        "remove_tags": schemas.texts("Tags to take away"),
        "memory_type": schemas.text("New type"),
        "metadata": schemas.free_object("Keys to add or change"),
        "store": schemas.text("Store to move to"),
    }


MEMORY_UPDATE = Tool(
    name="memory_update",
    title="Update memories",
    description=(
        "Change tags, type or metadata of memories whose hashes are known from a search, or move them to another store. "
        "To change the text, use memory_store with replaces. "
        'Example: {"content_hash": "0f35ee144d36", "updates": {"add_tags": ["done"], "metadata": {"rating": 5}}}'
    ),
    parameters={
        "content_hash": schemas.text("Hash of the memory"),
        "hashes": schemas.texts("Several hashes, for the same change to each"),
        "updates": schemas.mapping(_fields(), description="What to change"),
    },
    accepted={
        "preserve_timestamps": schemas.flag("Leave updated_at as it is where only metadata changes", default=True),
        **_fields(),
        "versioned": schemas.flag(f"Memories are changed in place. {schemas.WITHOUT_EFFECT}", default=False),
    },
    aliases={"hash": "content_hash", "id": "content_hash", "memory_hash": "content_hash", "content_hashes": "hashes"},
    output=schemas.mapping(
        {
            "message": schemas.text("What was changed"),
            "updated_count": schemas.integer("How many"),
            "missing": schemas.texts("Hashes that name no memory"),
            "content_hash": schemas.text("The memory's hash"),
            "memory": schemas.free_object("The one memory as it is now"),
            "hashes": schemas.texts("The changed ones"),
        },
        required=("message", "updated_count", "missing"),
    ),
    run=update,
)
