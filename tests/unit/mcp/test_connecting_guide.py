"""docs/connecting.md: its snippets can be pasted, and it names what the tools take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mcp_memory.mcp.schemas import WITHOUT_EFFECT
from mcp_memory.mcp.tool import Tool
from mcp_memory.mcp.tools.registry import LEGACY_TOOLS, TOOLS

GUIDE = (Path(__file__).parents[3] / "docs" / "connecting.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = {("mcp",), ("server",), (), ("exec", "-i", "memory", "memory", "mcp")}


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_snippet_is_a_whole_configuration(snippet: str) -> None:
    configuration: dict[str, Any] = json.loads(snippet)
    (server,) = (configuration.get("mcpServers") or configuration["servers"]).values()
    if "url" in server:
        assert server["url"] == "http://127.0.0.1:8000/mcp"
        assert set(server) <= {"type", "url", "headers"}
        assert all(value.startswith("Bearer ${") for value in server.get("headers", {}).values())
    elif server["command"] not in {"npx", "uv"}:
        assert tuple(server.get("args", ())) in COMMANDS


def test_every_argument_with_an_effect_is_in_the_table() -> None:
    rows = dict(re.findall(r"^\| `(memory_\w+)` \|[^|]*\|([^|]*)\|$", GUIDE, re.MULTILINE))
    assert set(rows) == {tool.name for tool in TOOLS}
    for tool in TOOLS:
        named = set(re.findall(r"`(\w+)`", rows[tool.name]))
        taken = {name for name, schema in tool.accepted.items() if WITHOUT_EFFECT not in schema["description"]}
        assert named == {*tool.parameters, *taken}, tool.name


def test_every_argument_without_effect_is_listed() -> None:
    (section,) = re.findall(r"<!-- no-effect -->\n(.*?)<!-- /no-effect -->", GUIDE, re.DOTALL)
    listed = {
        (tool, name)
        for tool, names in re.findall(r"^- `(\w+)`: ([^;(\n]*)", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    accepted = {(tool.name, name) for tool in TOOLS for name in _without_effect(tool)}
    of_new_names = {name for _, name in accepted}
    assert listed == accepted | {
        (tool.name, name) for tool in LEGACY_TOOLS for name in _without_effect(tool) if name not in of_new_names
    }


def _without_effect(tool: Tool) -> list[str]:
    return [name for name, schema in tool.accepted.items() if WITHOUT_EFFECT in schema["description"]]


def test_every_old_name_is_mentioned() -> None:
    assert all(f"`{tool.name}`" in GUIDE for tool in LEGACY_TOOLS)
