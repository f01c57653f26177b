"""Tool descriptions that strict clients accept, and that say what a tool does to the memories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mcp_memory.mcp import schemas
from mcp_memory.mcp.tool import Tool
from mcp_memory.mcp.tools.registry import LEGACY_TOOLS, LISTED_TOOLS, TOOLS, answered_tools, listed_tools

ALL = list(answered_tools().values())
SNAPSHOT = Path(__file__).parents[2] / "data" / "mcp_tools.json"
KEYWORDS = {
    "type", "properties", "required", "additionalProperties", "description", "items", "enum", "default", "minimum", "maximum",
}  # fmt: skip
ORIGINAL = {
    "memory_store": "content metadata conversation_id agent_id store restore_deleted",
    "memory_search": "query mode time_expr after before tags tag_match quality_boost rerank ranking_weights limit include_debug "
    "max_response_chars include_superseded entity fallback agent_id include_beliefs store summarize",
    "memory_list": "page page_size tags tag_match memory_type stale_days store agent_id",
    "memory_delete": "content_hash tags tag_match before after dry_run store",
    "memory_update": "content_hash updates preserve_timestamps versioned",
    "memory_health": "",
    "memory_stats": "",
    "memory_cleanup": "",
    "store_memory": "content tags memory_type metadata",
    "retrieve_memory": "query n_results limit",
    "recall_memory": "query n_results",
    "search_by_tag": "tags tag operation",
    "delete_by_tag": "tags tag",
    "delete_by_tags": "tags",
    "delete_by_all_tags": "tags",
    "delete_by_timeframe": "start_date end_date tag",
    "delete_before_date": "before_date tag",
    "recall_by_timeframe": "start_date end_date n_results",
    "exact_match_retrieve": "content",
    "debug_retrieve": "query n_results similarity_threshold",
    "retrieve_with_quality_boost": "query n_results quality_weight",
    "update_memory_metadata": "content_hash updates preserve_timestamps",
    "cleanup_duplicates": "",
    "get_cache_stats": "",
    "delete_memory": "content_hash",
    "check_database_health": "",
    "list_memories": "page page_size tag memory_type",
}


def schemas_in(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for inner in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        yield from schemas_in(inner)


def test_every_tool_of_the_original_takes_all_its_arguments() -> None:
    assert {tool.name for tool in ALL} == set(ORIGINAL)
    for tool in ALL:
        assert set(ORIGINAL[tool.name].split()) <= {*tool.parameters, *tool.accepted}, tool.name


@pytest.mark.parametrize("tool", ALL, ids=lambda tool: tool.name)
def test_schemas_keep_to_what_strict_clients_know(tool: Tool) -> None:
    for schema in (tool.input_schema(), tool.input_schema(everything=True), tool.output):
        Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        for part in schemas_in(schema):
            assert set(part) <= KEYWORDS
            assert isinstance(part["type"], str)
            if part["type"] == "object":
                # An object of any keys says nothing about them; one with keys names them all.
                assert ("properties" in part) == (part.get("additionalProperties") is False)
                assert "properties" not in part or part["properties"] or part is schema
                assert set(part.get("required", ())) <= set(part.get("properties", ()))
                assert part.get("required", True)
            for name, field in part.get("properties", {}).items():
                assert field.get("description"), f"{tool.name}: {name} has no description"


@pytest.mark.parametrize("tool", ALL, ids=lambda tool: tool.name)
def test_every_tool_says_in_short_when_to_use_it(tool: Tool) -> None:
    assert tool.title
    assert 20 < len(tool.description) < 800


def test_hints_tell_reading_from_writing_from_deleting() -> None:
    by_name = {tool.name: tool for tool in ALL}
    assert {name for name, tool in by_name.items() if tool.destructive} == {
        "memory_delete", "memory_cleanup", "delete_memory", "delete_by_tag", "delete_by_tags", "delete_by_all_tags",
        "delete_by_timeframe", "delete_before_date", "cleanup_duplicates",
    }  # fmt: skip
    assert {name for name, tool in by_name.items() if not tool.read_only and not tool.destructive} == {
        "memory_store", "memory_update", "store_memory", "update_memory_metadata",
    }  # fmt: skip


def test_old_names_can_be_switched_off() -> None:
    assert list(answered_tools(legacy_names=False)) == [tool.name for tool in TOOLS]
    assert {tool.name for tool in LEGACY_TOOLS}.isdisjoint(answered_tools(legacy_names=False))


def test_what_old_clients_need_is_answered_and_listed_only_where_a_setting_asks_for_it() -> None:
    assert list(listed_tools()) == [tool.name for tool in LISTED_TOOLS]
    assert listed_tools(everything=True) == answered_tools()
    assert listed_tools(legacy_names=False, everything=True) == answered_tools(legacy_names=False)
    for tool in ALL:
        assert not set(tool.parameters) & set(tool.accepted), tool.name
        assert list(tool.input_schema()["properties"]) == list(tool.parameters)
        assert list(tool.input_schema(everything=True)["properties"]) == [*tool.parameters, *tool.accepted]
        assert all(schemas.WITHOUT_EFFECT not in schema["description"] for schema in tool.parameters.values())


def test_tools_are_what_clients_were_promised() -> None:
    """A change here changes what clients see. Where it is meant: `python tests/unit/mcp/test_schemas.py` writes it down."""
    assert json.loads(SNAPSHOT.read_text(encoding="utf-8")) == _promised()


def _promised() -> dict[str, Any]:
    return {
        tool.name: {"input": tool.input_schema(everything=True), "output": tool.output, "required": list(tool.required)}
        for tool in ALL
    }


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(_promised(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
