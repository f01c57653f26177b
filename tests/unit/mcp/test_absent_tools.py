"""A tool of the original that isn't here is refused with what to use in its place."""

from __future__ import annotations

import pytest

from mcp_memory.mcp.server import _unknown_tool
from mcp_memory.mcp.tools.absent import ABSENT
from mcp_memory.mcp.tools.registry import listed_tools


@pytest.mark.parametrize("name", ABSENT)
def test_the_refusal_of_a_known_tool_says_what_to_use(name: str) -> None:
    error = _unknown_tool(name, listed_tools()).error
    assert error.message == f"Unknown tool: {name}. {ABSENT[name]}"
