"""Who stored a memory: `metadata.agent_id`, and the tag `agent:<id>` by which it is found; the same for the machine that it
came from: `metadata.hostname`, and the tag `source:<host>`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mcp_memory.domain.checks import check_name
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import JsonValue
from mcp_memory.domain.tags import parse_tags

KEY = "agent_id"
HOST_KEY = "hostname"


def agent_tag(agent_id: str) -> str:
    return f"agent:{agent_id.strip()}"


def named_agent(given: str | None, metadata: Mapping[str, JsonValue], default: str | None = None) -> str | None:
    """The agent that a memory is by: the one that the call names, else the one in its metadata, else the service's own."""
    if given is not None and given.strip():
        return check_name(given, KEY)
    written = metadata.get(KEY)
    if isinstance(written, str) and written.strip():
        return written.strip()
    return default.strip() if default and default.strip() and written is None else None


def with_agent_tag(tags: Sequence[str], agent_id: str | None) -> tuple[str, ...]:
    """The tags and the agent's. An id in foreign metadata that no tag can hold (a comma in it) leaves them as they are."""
    if agent_id is None:
        return tuple(tags)
    try:
        return tuple(dict.fromkeys((*tags, *parse_tags([agent_tag(agent_id)], imported=True))))
    except InvalidInputError:
        return tuple(tags)


def with_host_tag(tags: Sequence[str], host: str | None) -> tuple[str, ...]:
    """The tags and `source:<host>`, as the original tags what a named machine stores. Raises InvalidInputError."""
    return tuple(tags) if host is None else tuple(dict.fromkeys((*tags, *parse_tags([f"source:{host}"]))))


def to_headers(agent_id: str | None) -> dict[str, str]:
    """What a client of ours sends for the agent that it works for; `from_header` reads it. Raises InvalidInputError."""
    if agent_id is None or not agent_id.strip():
        return {}
    return {"X-Agent-ID": check_name(agent_id, KEY).encode("utf-8").decode("latin-1")}


def from_header(header: str | None) -> str | None:
    """A header's value as the client wrote it: servers read headers as Latin-1, clients write UTF-8."""
    if header is None:
        return None
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header
