"""Resources: figures, tags and the newest memories, for clients that read instead of calling a tool."""

from __future__ import annotations

import re
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, Resource, ResourceTemplate

from mcp_memory.mcp.render import memory_object
from mcp_memory.mcp.tools.figures import statistics_of
from mcp_memory.memories.requests import Conditions
from mcp_memory.memories.service import Memories

JSON = "application/json"
MAX_RECENT = 100
_RECENT = re.compile(r"memory://recent/(?P<count>[^/]*)")

RESOURCES = [
    Resource(
        uri="memory://stats",
        name="stats",
        title="Statistics",
        description="How many memories, tags and stores there are, and their size",
        mime_type=JSON,
    ),
    Resource(
        uri="memory://tags",
        name="tags",
        title="Tags",
        description="Every tag with its number of memories, most frequent first",
        mime_type=JSON,
    ),
    Resource(
        uri="memory://recent/10",
        name="recent",
        title="Recent memories",
        description="The ten newest memories",
        mime_type=JSON,
    ),
]
TEMPLATES = [
    ResourceTemplate(
        uri_template="memory://recent/{n}",
        name="recent",
        title="Recent memories",
        description=f"The n newest memories, 1 to {MAX_RECENT}",
        mime_type=JSON,
    )
]


async def read_resource(memories: Memories, uri: str) -> dict[str, Any]:
    """The resource as a JSON object. Raises MCPError for an address that names none."""
    if uri == "memory://stats":
        return await statistics_of(memories)
    if uri == "memory://tags":
        return {"tags": [{"tag": tag, "count": count} for tag, count in (await memories.tags()).items()]}
    if match := _RECENT.fullmatch(uri):
        return await _recent(memories, match["count"])
    addresses = ", ".join([resource.uri for resource in RESOURCES[:2]] + [TEMPLATES[0].uri_template])
    raise MCPError(code=INVALID_PARAMS, message=f"No resource {uri!r:.120}. There are: {addresses}.")


async def _recent(memories: Memories, count: str) -> dict[str, Any]:
    if not re.fullmatch(r"[0-9]{1,3}", count) or not 1 <= int(count) <= MAX_RECENT:
        raise MCPError(
            code=INVALID_PARAMS,
            message=f"memory://recent/{{n}} takes a number from 1 to {MAX_RECENT}, got {count!r:.40}.",
        )
    listing = await memories.page(Conditions(store=None), limit=int(count))
    return {"memories": [memory_object(memory) for memory in listing.memories], "total": listing.total}
