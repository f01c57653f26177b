"""Which tools are offered."""

from __future__ import annotations

from mcp_memory.mcp.tool import Tool
from mcp_memory.mcp.tools.delete import MEMORY_CLEANUP, MEMORY_DELETE
from mcp_memory.mcp.tools.figures import MEMORY_HEALTH, MEMORY_STATS
from mcp_memory.mcp.tools.legacy import LEGACY_TOOLS
from mcp_memory.mcp.tools.listing import MEMORY_LIST
from mcp_memory.mcp.tools.search import MEMORY_SEARCH
from mcp_memory.mcp.tools.store import MEMORY_STORE
from mcp_memory.mcp.tools.update import MEMORY_UPDATE

TOOLS: tuple[Tool, ...] = (
    MEMORY_STORE,
    MEMORY_SEARCH,
    MEMORY_LIST,
    MEMORY_UPDATE,
    MEMORY_DELETE,
    MEMORY_HEALTH,
    MEMORY_STATS,
    MEMORY_CLEANUP,
)


def offered_tools(*, legacy_names: bool) -> dict[str, Tool]:
    """Tools by name, in the order in which they are listed."""
    return {tool.name: tool for tool in (*TOOLS, *(LEGACY_TOOLS if legacy_names else ()))}
