"""The arguments that narrow searching, listing and deleting down, the same in each tool."""

from __future__ import annotations

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.domain.tags import parse_tags
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.memories.requests import RawTags

TAGS = schemas.texts('Only memories with these tags, e.g. ["project-x", "decision"]')
TAG_MATCH = schemas.text("any: at least one of the tags; all: every one", choices=("any", "all"), default="any")
MEMORY_TYPE = schemas.text("Only memories of this type, e.g. decision")
AFTER = schemas.text(
    'Only memories created at or after this time: "2025-01-15", ISO date-time or words like "yesterday"'
)
BEFORE = schemas.text("Only memories created before this time, written as in after")
TIME_EXPR = schemas.text('Natural-language time range, e.g. "last week", "yesterday", "past 3 days", "in March"')
STORE = schemas.text('Store to look in; "all" for every store', default=DEFAULT_STORE)
AGENT_ID = schemas.text("Only memories that the agent of this id stored (tag agent:<id>)")


def agent_tag(agent_id: str) -> str:
    return f"agent:{agent_id.strip()}"


def tag_filter(arguments: Arguments) -> tuple[RawTags, str]:
    """Tags and how they match, with the agent's tag among them."""
    tags = arguments.tags("tags")
    match = arguments.filled("tag_match") or "any"
    agent_id = arguments.filled("agent_id")
    if agent_id is None:
        return tags, match
    named = parse_tags(tags)
    if len(named) > 1 and match == "any":
        raise InvalidInputError(
            "agent_id can't be combined with any of several tags: use tag_match all, or one tag.", field="agent_id"
        )
    return [*named, agent_tag(agent_id)], "all"


def store_choice(arguments: Arguments) -> str:
    return arguments.filled("store") or DEFAULT_STORE
