"""memory_store."""

from __future__ import annotations

from typing import Any, Final

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.domain.tags import parse_tags
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.render import first_words, short_hash
from mcp_memory.mcp.tool import Tool, ToolAnswer, nearest_name
from mcp_memory.mcp.tools.filters import GUESSED_TAGS
from mcp_memory.memories.requests import NewMemory, StoreResult, StoreStatus
from mcp_memory.memories.service import Memories
from mcp_memory.memories.wanted import still_wanted

CONTENT = schemas.text("The text to remember, understandable on its own")
METADATA = schemas.free_object('Anything else worth keeping, e.g. {"source": "meeting"}')
TAGS = schemas.texts('A few short tags, e.g. ["project-x", "deployment"]')
MEMORY_TYPE = schemas.text("e.g. note, decision, learning, error, pattern, reference")
CLIENT_HOSTNAME = schemas.text("The client's machine: kept as metadata.hostname and as the tag source:<host>")
_OF_ONE: Final = ("content", "tags", "memory_type", "metadata", "store", "replaces")
_CONTENT_NAMES: Final = ("text", "memory", "fact", "note")
MAX_BATCH = 100


async def store(memories: Memories, arguments: Arguments) -> ToolAnswer:
    """Tags and type may be arguments or, as the original has it, stand in the metadata. Metadata keeps what isn't used."""
    batch = arguments.objects("memories")
    if batch:
        if arguments.text("content") is not None:
            raise InvalidInputError("Give content, or memories for several, not both.", field="memories")
        return await _store_batch(memories, batch, arguments)
    conversation = arguments.filled("conversation_id")
    result = await memories.store(
        _new(arguments, arguments),
        # Turns of one conversation resemble each other and are all wanted.
        semantic_dedup=None if conversation is None else False,
        replaces=arguments.filled("replaces"),
        name_similar=conversation is None,
    )
    message = _message(result)
    return ToolAnswer(message, {**_object(result), "message": message})


def _new(arguments: Arguments, common: Arguments) -> NewMemory:
    """The memory of these arguments; what is said once for a batch counts for each."""
    content = arguments.required("content")
    metadata = dict(arguments.mapping("metadata") or {})
    tags = [*parse_tags(arguments.tags("tags")), *parse_tags(metadata.pop("tags", None), field="metadata.tags")]
    memory_type = arguments.filled("memory_type") or (common.filled("memory_type") if common is not arguments else None)
    if memory_type is None:
        memory_type = metadata.pop("type", None)
    if common is not arguments:
        tags += parse_tags(common.tags("tags"))
    conversation, agent_id = common.filled("conversation_id"), common.filled("agent_id")
    host = common.filled("client_hostname")
    if conversation is not None:
        metadata["conversation_id"] = conversation
    where = arguments.filled("store") or common.filled("store") or DEFAULT_STORE
    return NewMemory(content, tags, memory_type, metadata, where, agent_id=agent_id, hostname=host)


async def _store_batch(memories: Memories, batch: list[dict[str, Any]], common: Arguments) -> ToolAnswer:
    """Each is answered by itself; a mistake in one keeps no other from being stored."""
    if len(batch) > MAX_BATCH:
        raise InvalidInputError(f"At most {MAX_BATCH} memories a call, got {len(batch)}.", field="memories")
    results: list[StoreResult | None] = [None] * len(batch)
    plain: list[tuple[int, NewMemory]] = []
    for place, item in enumerate(batch):
        try:
            arguments = _item(item)
            new = _new(arguments, common)
            replaces = arguments.filled("replaces")
            if replaces is None:
                plain.append((place, new))
            else:
                await still_wanted()
                results[place] = await memories.store(new, replaces=replaces)
        except (InvalidInputError, LookupError) as error:
            results[place] = StoreResult(StoreStatus.INVALID, str(error), None)
    stored = await memories.store_many([new for _, new in plain], name_similar=True) if plain else []
    for (place, _), result in zip(plain, stored, strict=True):
        results[place] = result
    answered = [result for result in results if result is not None]
    count = sum(result.stored for result in answered)
    headline = f"Stored {count} of {len(batch)} memories"
    lines = [f"{place}. {_line(result)}" for place, result in enumerate(answered, 1)]
    return ToolAnswer(
        "\n".join([headline, *lines]),
        {"stored": count > 0, "message": headline, "results": [_result_object(result) for result in answered]},
    )


def _item(item: dict[str, Any]) -> Arguments:
    names = {**GUESSED_TAGS, **dict.fromkeys(_CONTENT_NAMES, "content")}
    given = {names.get(name, name): value for name, value in item.items()}
    for name in given:
        if name not in _OF_ONE:
            near = nearest_name(name, _OF_ONE)
            hint = f" Did you mean {near}?" if near else ""
            raise InvalidInputError(
                f"A memory has no {name[:80]!r}.{hint} It takes: {', '.join(_OF_ONE)}.", field=name[:80]
            )
    return Arguments(given)


def _message(result: StoreResult) -> str:
    hash_ = "" if result.memory is None else result.memory.content_hash
    message = result.message if hash_ in result.message else f"{result.message} (hash: {hash_})"
    return "\n".join([message, *_similar(result)])


def _line(result: StoreResult) -> str:
    """One line of a batch's answer."""
    if not result.stored or result.memory is None:
        return f"{result.status.value}: {result.message}"
    line = f"{short_hash(result.memory.content_hash)} stored"
    if result.replaced is not None:
        line += f", replaces {short_hash(result.replaced)}"
    return "; ".join([line, *_similar(result)])


def _similar(result: StoreResult) -> list[str]:
    if not result.similar:
        return []
    nearest = first_words(result.similar[0].memory)
    others = [short_hash(hit.memory.content_hash) for hit in result.similar[1:]]
    more = f" (also {', '.join(others)})" if others else ""
    return [
        f"Similar: {nearest}{more}. If the new one is to take its place: memory_store with the same content and replaces."
    ]


def _object(result: StoreResult) -> dict[str, Any]:
    memory = result.memory
    return {
        "stored": result.stored,
        "status": result.status.value,
        "content_hash": "" if memory is None else memory.content_hash,
        "tags": [] if memory is None else list(memory.tags),
        **({"replaced": result.replaced} if result.replaced else {}),
        **({"similar": [first_words(hit.memory) for hit in result.similar]} if result.similar else {}),
    }


def _result_object(result: StoreResult) -> dict[str, Any]:
    """What the line of a batch's answer says."""
    whole = _object(result)
    names = ("status", "replaced", "similar")
    kept: dict[str, Any] = {name: whole[name] for name in names if name in whole}
    return {
        "content_hash": short_hash(whole["content_hash"]),
        **kept,
        **({} if result.stored else {"message": result.message}),
    }


OUTPUT = schemas.mapping(
    {
        "stored": schemas.flag("False where the memory was there already, which is no error"),
        "status": schemas.text("What happened"),
        "content_hash": schemas.text("The stored memory's hash, new or old"),
        "tags": schemas.texts("Its tags"),
        "replaced": schemas.text("Hash of the memory that it superseded"),
        "similar": schemas.texts("Memories that say nearly the same"),
        "results": schemas.objects("One for each of several memories", schemas.free_object("What became of it")),
        "message": schemas.text("The same in words"),
    },
    required=("stored", "message"),
)

MEMORY_STORE = Tool(
    name="memory_store",
    title="Store memories",
    description=(
        "Remember something beyond this conversation: a preference, a decision and its reason, a fact about a person or "
        "project, a solution that worked. Write one self-contained fact a memory, with names and dates instead of 'he' or "
        "'today'; several facts go into memories. When a fact has changed, search for the old one and name its hash in "
        "replaces. Storing the same text again changes nothing. "
        'Example: {"content": "Deployments of Atlas go out on Tuesdays, because support is fully staffed then", '
        '"tags": ["atlas", "deployment"], "memory_type": "decision"}'
    ),
    parameters={
        "content": CONTENT,
        "tags": TAGS,
        "memory_type": MEMORY_TYPE,
        "metadata": METADATA,
        "store": schemas.text("Store to put it in", default=DEFAULT_STORE),
        "replaces": schemas.text("Hash of an older memory that this one supersedes: it leaves results"),
        "memories": schemas.objects(
            "Several at once, in place of content",
            schemas.mapping(
                {
                    "content": schemas.text("Text"),
                    "tags": schemas.texts("Tags"),
                    "memory_type": schemas.text("Type"),
                    "replaces": schemas.text("Hash"),
                },
                required=("content",),
                description="A memory",
            ),
        ),
    },
    accepted={
        "conversation_id": schemas.text(
            "Id of the conversation it belongs to: kept in the metadata, and no check for similar memories is made"
        ),
        "agent_id": schemas.text("Id of the agent that stores it: kept as the tag agent:<id>"),
        "client_hostname": CLIENT_HOSTNAME,
        "restore_deleted": schemas.flag(f"A deleted text can always be stored again. {schemas.WITHOUT_EFFECT}"),
    },
    aliases={
        **GUESSED_TAGS,
        **dict.fromkeys(_CONTENT_NAMES, "content"),
        **dict.fromkeys(("supersedes", "replace"), "replaces"),
        "facts": "memories",
    },
    output=OUTPUT,
    run=store,
)
