"""memory_store."""

from __future__ import annotations

from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.domain.tags import parse_tags
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.tool import Tool, ToolAnswer
from mcp_memory.memories.requests import NewMemory, StoreStatus
from mcp_memory.memories.service import Memories

CONTENT = schemas.text("The text to remember, understandable on its own")
METADATA = schemas.mapping(
    {
        "tags": schemas.texts("Tags may stand here, too"),
        "type": schemas.text("The memory's type may stand here, too, e.g. decision"),
    },
    description='Anything else worth keeping, e.g. {"source": "meeting", "url": "..."}',
    open_ended=True,
)
TAGS = schemas.texts('A few short tags, e.g. ["project-x", "deployment"]; no commas inside a tag')
MEMORY_TYPE = schemas.text("Kind of memory, e.g. note, decision, learning, error, pattern, reference")


async def store(memories: Memories, arguments: Arguments) -> ToolAnswer:
    """Tags and type may be arguments or, as the original has it, stand in the metadata. Metadata keeps what isn't used."""
    content = arguments.required("content")
    metadata = dict(arguments.mapping("metadata") or {})
    tags = [*parse_tags(arguments.tags("tags")), *parse_tags(metadata.pop("tags", None), field="metadata.tags")]
    memory_type = arguments.filled("memory_type")
    if memory_type is None:
        memory_type = metadata.pop("type", None)
    conversation = arguments.filled("conversation_id")
    if conversation is not None:
        metadata["conversation_id"] = conversation
    result = await memories.store(
        NewMemory(
            content=content,
            tags=tags,
            memory_type=memory_type,
            metadata=metadata,
            store=arguments.filled("store") or DEFAULT_STORE,
            agent_id=arguments.filled("agent_id"),
        ),
        # Turns of one conversation resemble each other and are all wanted.
        semantic_dedup=None if conversation is None else False,
    )
    stored_hash = "" if result.memory is None else result.memory.content_hash
    message = f"Memory stored successfully (hash: {stored_hash})" if result.stored else result.message
    if stored_hash not in message:
        message = f"{message} (hash: {stored_hash})"
    return ToolAnswer(
        message,
        {
            "stored": result.stored,
            "status": result.status.value,
            "content_hash": stored_hash,
            "tags": [] if result.memory is None else list(result.memory.tags),
            "message": message,
        },
    )


OUTPUT = schemas.mapping(
    {
        "stored": schemas.flag("False where the memory was there already, which is no error"),
        "status": schemas.text("What happened", choices=[status.value for status in StoreStatus]),
        "content_hash": schemas.text("The stored memory's hash, new or old"),
        "tags": schemas.texts("The stored memory's tags"),
        "message": schemas.text("The same in words"),
    },
    required=("stored", "status", "content_hash", "message"),
)

MEMORY_STORE = Tool(
    name="memory_store",
    title="Store a memory",
    description=(
        "Remember something beyond this conversation: a preference, a decision and its reason, a fact about a person or "
        "project, a solution that worked. Write one self-contained fact a call, with names and dates instead of 'he' or "
        "'today'. Storing the same text again changes nothing. "
        'Example: {"content": "Deployments of Atlas go out on Tuesdays, because support is fully staffed then", '
        '"tags": ["atlas", "deployment"], "memory_type": "decision"}'
    ),
    parameters={
        "content": CONTENT,
        "tags": TAGS,
        "memory_type": MEMORY_TYPE,
        "metadata": METADATA,
        "conversation_id": schemas.text(
            "Id of the conversation it belongs to: kept in the metadata, and no check for similar memories is made"
        ),
        "agent_id": schemas.text("Id of the agent that stores it: kept as the tag agent:<id>"),
        "store": schemas.text("Store to put it in", default=DEFAULT_STORE),
    },
    accepted={
        "restore_deleted": schemas.flag(f"A deleted text can always be stored again. {schemas.WITHOUT_EFFECT}"),
    },
    required=("content",),
    output=OUTPUT,
    run=store,
)
