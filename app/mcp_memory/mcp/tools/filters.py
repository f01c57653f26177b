"""The arguments that narrow searching, listing and deleting down, the same in each tool."""

from __future__ import annotations

from typing import Final

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.domain.tags import parse_tags
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.memories.requests import Conditions, RawTags

TAGS = schemas.texts("Only memories with these tags")
TAG_MATCH = schemas.text("any of the tags, or all", choices=("any", "all"), default="any")
MEMORY_TYPE = schemas.text("Only memories of this type, e.g. decision")
AFTER = schemas.text('Created at or after: "2025-01-15", ISO date-time or words like "yesterday"')
BEFORE = schemas.text("Created before, written as in after")
TIME_EXPR = schemas.text('Created in this time: "last week", "past 3 days", "in March"')
STORE = schemas.text('Store to look in; "all" for every store', default=DEFAULT_STORE)
AGENT_ID = schemas.text("Only memories that the agent of this id stored (tag agent:<id>)")
INCLUDE_SUPERSEDED = schemas.flag("Also memories that a newer one replaced", default=False)
GUESSED_TAGS: Final = {"tag": "tags", "type": "memory_type"}
"""Names that models guess."""


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


def described(conditions: Conditions) -> str:
    """The conditions in words, for an answer that found nothing: what to loosen."""
    said = []
    if conditions.tags:
        said.append(f"tags {', '.join(parse_tags(conditions.tags))} ({conditions.tag_match})")
    if conditions.memory_type is not None:
        said.append(f"memory_type {conditions.memory_type}")
    for name, value in (
        ("after", conditions.after),
        ("before", conditions.before),
        ("time_expr", conditions.time_expr),
    ):
        if value is not None:
            said.append(f"{name} {value}")
    said.append(f"store {conditions.store or 'all'}")
    return "; ".join(said)
