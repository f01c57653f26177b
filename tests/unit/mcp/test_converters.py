"""What converters make of the tools' schemas: each is what a strict host does with it, written down from its source.

The converters themselves bring an MCP SDK that excludes ours (mcpo) or a client of a cloud (openai-agents, google-genai), so
their rules stand here:

- OpenAI, strict functions: `ensure_strict_json_schema` in openai-agents (src/agents/strict_schema.py), and "Supported schemas" of
  https://platform.openai.com/docs/guides/structured-outputs
- Gemini: `Schema.from_json_schema` in google-genai (google/genai/types.py), and `Schema` of
  https://ai.google.dev/api/caching#Schema
- mcpo (Open WebUI): `get_model_fields` in mcpo (src/mcpo/utils/main.py)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError, create_model

from mcp_memory.mcp.tool import Tool
from mcp_memory.mcp.tools.registry import answered_tools

TOOLS = list(answered_tools().values())
GEMINI_KEYWORDS = {
    "type", "description", "title", "enum", "items", "properties", "required", "minimum", "maximum", "default",
    "additionalProperties",
}  # fmt: skip
PLAIN = {"string": str, "integer": int, "number": float, "boolean": bool}


def nodes(schema: dict[str, Any], path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in it, with its place."""
    yield path, schema
    for name, each in schema.get("properties", {}).items():
        yield from nodes(each, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """As openai-agents makes a schema strict. Raises ValueError for what it refuses."""
    if schema.get("type") == "object" and schema.get("additionalProperties"):
        raise ValueError("additionalProperties should not be set for object types")
    made = dict(schema)
    if schema.get("type") == "object":
        made["additionalProperties"] = False
    if "properties" in schema:
        made["required"] = list(schema["properties"])
        made["properties"] = {name: strict(each) for name, each in schema["properties"].items()}
    if "items" in schema:
        made["items"] = strict(schema["items"])
    return made


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
@pytest.mark.parametrize("everything", [False, True])
def test_openai_s_strict_mode_takes_every_schema(tool: Tool, everything: bool) -> None:
    made = strict(tool.input_schema(everything=everything))
    properties = 0
    for path, node in nodes(made):
        assert not {"$ref", "oneOf", "allOf", "not", "patternProperties", "if"} & set(node), path
        assert isinstance(node["type"], str), path
        if node["type"] == "object" and "properties" in node:
            assert node["additionalProperties"] is False, path
            assert set(node["required"]) == set(node["properties"]), path
            properties += len(node["properties"])
        assert path.count(".") <= 5, path  # levels of nesting
    assert properties <= 100


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
@pytest.mark.parametrize("everything", [False, True])
def test_gemini_takes_every_schema(tool: Tool, everything: bool) -> None:
    for path, node in nodes(tool.input_schema(everything=everything)):
        assert set(node) <= GEMINI_KEYWORDS, path
        assert node["type"] in {*PLAIN, "array", "object"}, path
        assert "enum" not in node or (node["type"] == "string" and all(node["enum"])), path
        assert node["type"] != "array" or "items" in node, path
        assert set(node.get("required", ())) <= set(node.get("properties", ())), path
        if path != "$" and node["type"] == "object":
            assert node.get("properties") != {}, f"{path}: an object's properties must not be empty"


def mcpo_type(schema: dict[str, Any], name: str) -> Any:
    """The type that mcpo makes of a property."""
    if schema["type"] == "array":
        return list[mcpo_type(schema["items"], f"{name}_item")]  # type: ignore[misc]
    if schema["type"] != "object":
        return PLAIN[schema["type"]]
    if not schema.get("properties"):
        return dict[str, Any]
    return mcpo_model(schema, name)


def mcpo_model(schema: dict[str, Any], name: str) -> type[BaseModel]:
    required = set(schema.get("required", ()))
    fields: dict[str, Any] = {
        each: (mcpo_type(property_, f"{name}_{each}"), ... if each in required else property_.get("default"))
        for each, property_ in schema.get("properties", {}).items()
    }
    return create_model(f"{name}_model", **fields)


SENT: dict[str, dict[str, Any]] = {
    "memory_store": {"content": "x", "tags": ["a"], "metadata": {"source": "meeting", "depth": {"n": [1]}}},
    "memory_update": {"content_hash": "0" * 12, "updates": {"add_tags": ["x"], "metadata": {"rating": 5}}},
    "memory_search": {"query": "x", "limit": 3, "mode": "exact", "store": "all"},
    "memory_list": {"hashes": ["0" * 12], "page": 2},
    "memory_delete": {"tags": ["a"], "before": "2025-01-01", "dry_run": True, "expect": 3},
    "memory_stats": {},
}


@pytest.mark.parametrize("name", SENT)
def test_mcpo_passes_on_what_was_sent(name: str) -> None:
    """Free objects come through whole: a schema that declared some of their keys would cost the others."""
    model = mcpo_model(answered_tools()[name].input_schema(), name)
    passed = model.model_validate(SENT[name]).model_dump(exclude_unset=True)
    assert passed == SENT[name]


def test_mcpo_insists_on_what_is_required() -> None:
    model = mcpo_model(answered_tools()["retrieve_memory"].input_schema(), "retrieve_memory")
    with pytest.raises(ValidationError):
        model.model_validate({})
