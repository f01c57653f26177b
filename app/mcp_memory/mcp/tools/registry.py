"""Which tools there are: those that `tools/list` shows, and those that are only answered when a client calls them by name."""

from __future__ import annotations

from typing import Any

from mcp_memory.mcp.tool import Tool
from mcp_memory.mcp.tools.delete import MEMORY_CLEANUP, MEMORY_DELETE
from mcp_memory.mcp.tools.figures import MEMORY_HEALTH, MEMORY_STATS
from mcp_memory.mcp.tools.legacy import RENAMED_TOOLS
from mcp_memory.mcp.tools.listing import MEMORY_LIST
from mcp_memory.mcp.tools.older import OLDER_TOOLS
from mcp_memory.mcp.tools.search import MEMORY_SEARCH
from mcp_memory.mcp.tools.store import MEMORY_STORE
from mcp_memory.mcp.tools.update import MEMORY_UPDATE

LISTED_TOOLS: tuple[Tool, ...] = (
    MEMORY_STORE,
    MEMORY_SEARCH,
    MEMORY_LIST,
    MEMORY_UPDATE,
    MEMORY_DELETE,
    MEMORY_STATS,
)
"""What an assistant is told of. Each costs every conversation its tokens."""

UNLISTED_TOOLS: tuple[Tool, ...] = (MEMORY_HEALTH, MEMORY_CLEANUP)
"""Rarely wanted by an assistant: answered, and listed with MCP_LIST_ALL_TOOLS=true."""

LEGACY_TOOLS: tuple[Tool, ...] = (*RENAMED_TOOLS, *OLDER_TOOLS)
"""Names of older releases of the original: as UNLISTED_TOOLS, and refused with MCP_LEGACY_TOOL_NAMES=false."""

TOOLS: tuple[Tool, ...] = (*LISTED_TOOLS, *UNLISTED_TOOLS)


def answered_tools(*, legacy_names: bool = True) -> dict[str, Tool]:
    """The tools that a client may call, by name."""
    return {tool.name: tool for tool in (*TOOLS, *(LEGACY_TOOLS if legacy_names else ()))}


def descriptions(*, legacy_names: bool, everything: bool) -> list[dict[str, Any]]:
    """What `tools/list` answers. No storage and no SDK are needed for it: the stdio bridge gives it while its owner starts."""
    tools = listed_tools(legacy_names=legacy_names, everything=everything)
    return [tool.described(everything=everything) for tool in tools.values()]


def listed_tools(*, legacy_names: bool = True, everything: bool = False) -> dict[str, Tool]:
    """The tools that `tools/list` shows, by name, in its order. `everything`: all that are answered."""
    return answered_tools(legacy_names=legacy_names) if everything else {tool.name: tool for tool in LISTED_TOOLS}
