"""Resources: figures, tags and the newest memories, for clients that read instead of calling a tool."""

from __future__ import annotations

import re
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from mcp_memory.mcp.render import memory_object
from mcp_memory.mcp.resource_list import MAX_RECENT, RESOURCES, TEMPLATES
from mcp_memory.mcp.tools.figures import statistics_of
from mcp_memory.memories.requests import Conditions
from mcp_memory.memories.service import Memories

_RECENT = re.compile(r"memory://recent/(?P<count>[^/]*)")


async def read_resource(memories: Memories, uri: str) -> dict[str, Any]:
    """The resource as a JSON object. Raises MCPError for an address that names none."""
    if uri == "memory://stats":
        return await statistics_of(memories)
    if uri == "memory://tags":
        return {"tags": [{"tag": tag, "count": count} for tag, count in (await memories.tags()).items()]}
    if match := _RECENT.fullmatch(uri):
        return await _recent(memories, match["count"])
    addresses = ", ".join([resource["uri"] for resource in RESOURCES[:2]] + [TEMPLATES[0]["uriTemplate"]])
    raise MCPError(code=INVALID_PARAMS, message=f"No resource {uri!r:.120}. There are: {addresses}.")


async def _recent(memories: Memories, count: str) -> dict[str, Any]:
    if not re.fullmatch(r"[0-9]{1,3}", count) or not 1 <= int(count) <= MAX_RECENT:
        raise MCPError(
            code=INVALID_PARAMS,
            message=f"memory://recent/{{n}} takes a number from 1 to {MAX_RECENT}, got {count!r:.40}.",
        )
    listing = await memories.page(Conditions(store=None), limit=int(count))
    return {"memories": [memory_object(memory) for memory in listing.memories], "total": listing.total}
