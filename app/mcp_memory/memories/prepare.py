"""What a caller gave becomes a checked memory with hash and times."""

from __future__ import annotations

from mcp_memory.domain.agents import HOST_KEY, KEY, named_agent, with_agent_tag, with_host_tag
from mcp_memory.domain.checks import (
    check_content,
    check_memory_type,
    check_metadata,
    check_name,
    check_store,
    check_time,
)
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.hashes import check_content_hash
from mcp_memory.domain.memory import SUPERSEDED_BY, Memory, content_hash, next_revision
from mcp_memory.domain.tags import parse_tags
from mcp_memory.memories.context import Context
from mcp_memory.memories.requests import NewMemory


def prepare(new: NewMemory, context: Context) -> Memory:
    """Check a new memory and give it hash and times. Raises InvalidInputError."""
    if new.content_hash is not None or new.created_at is not None or new.updated_at is not None:
        raise InvalidInputError(
            "content_hash, created_at and updated_at are given by imports only.", field="content_hash"
        )
    memory = _checked(new, context, imported=False)
    if memory.superseded_by is not None:
        raise InvalidInputError(
            "A new memory can't be superseded: store the newer one with `replaces`, which marks the older one.",
            field=f"metadata.{SUPERSEDED_BY}",
        )
    return memory


def prepare_imported(new: NewMemory, context: Context) -> Memory:
    """As `prepare` for a memory that another store held: hash and times stay, sizes aren't judged. Raises InvalidInputError."""
    return _checked(new, context, imported=True)


def _checked(new: NewMemory, context: Context, *, imported: bool) -> Memory:
    content = check_content(new.content, max_length=context.options.max_content_length, imported=imported)
    metadata = check_metadata(new.metadata, imported=imported)
    agent = named_agent(new.agent_id, metadata, None if imported else context.options.agent_id)
    if agent is not None and metadata.get(KEY) != agent:
        metadata = check_metadata({**metadata, KEY: agent}, imported=imported)
    host = check_name(new.hostname, HOST_KEY) if new.hostname and new.hostname.strip() else None
    if host is not None:
        metadata = check_metadata({**metadata, HOST_KEY: host}, imported=imported)
    now = context.clock()
    created_at = now if new.created_at is None else check_time(new.created_at, "created_at")
    return Memory(
        content=content,
        content_hash=content_hash(content) if new.content_hash is None else check_content_hash(new.content_hash),
        created_at=created_at,
        updated_at=created_at if new.updated_at is None else check_time(new.updated_at, "updated_at"),
        tags=with_host_tag(with_agent_tag(parse_tags(new.tags, imported=imported), agent), host),
        memory_type=check_memory_type(new.memory_type),
        metadata=metadata,
        store=check_store(new.store),
        revision=next_revision(now),
    )
