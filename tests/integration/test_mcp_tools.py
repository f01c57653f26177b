"""The official SDK's client uses every tool and old name over HTTP, in both kinds of protocol."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from jsonschema import validate
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent, TextResourceContents

from integration.mcp_service import McpService, mcp_service
from mcp_memory.domain.memory import content_hash
from mcp_memory.mcp.tools.registry import answered_tools, listed_tools

pytestmark = pytest.mark.anyio

TEA, ATLAS = "Anna drinks green tea in the morning", "Atlas is deployed on Tuesdays"


@pytest.fixture
def service() -> Iterator[McpService]:
    with mcp_service() as running:
        yield running


@pytest.fixture(params=["legacy", "2026-07-28", "auto"])
def mode(request: pytest.FixtureRequest) -> str:
    """How the client negotiates: `initialize`, the stateless protocol, or whatever both find out."""
    return str(request.param)


async def call(client: Client, tool: str, **arguments: Any) -> CallToolResult:
    result = await client.call_tool(tool, arguments)
    if not result.is_error:
        validate(result.structured_content, answered_tools()[tool].output)
    return result


def text(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def contents(result: CallToolResult) -> list[str]:
    return [memory["content"] for memory in result.structured_content["memories"]]


async def test_a_memory_is_stored_found_listed_changed_and_deleted(service: McpService, mode: str) -> None:
    async with Client(service.url, mode=mode) as client:
        stored = await call(
            client, "memory_store", content=TEA, tags=["Tea"], metadata={"tags": "habit", "type": "note"}
        )
        assert text(stored) == f"Memory stored successfully (hash: {content_hash(TEA)})"
        assert stored.structured_content["tags"] == ["tea", "habit"]
        await call(client, "memory_store", content=ATLAS, tags="atlas, deployment", memory_type="decision")

        found = await call(client, "memory_search", query="green tea", mode="semantic")
        lines = text(found).splitlines()
        today = datetime.now(UTC).date().isoformat()
        assert lines[0] == "Found 2 memories (mode: semantic) for query: 'green tea'"
        assert lines[1].startswith(f"{content_hash(TEA)[:12]} {today} note [tea, habit] similarity 0.")
        assert lines[2] == f"  {TEA}"

        listed = await call(client, "memory_list", page_size=1)
        assert (
            text(listed).splitlines()[0].startswith("2 memories (store default), page 1, newest first; more on page 2")
        )
        assert contents(listed) == [ATLAS]
        assert (listed.structured_content["total"], listed.structured_content["has_more"]) == (2, True)

        changed = await call(
            client,
            "memory_update",
            content_hash=content_hash(ATLAS),
            updates={"tags": ["done"], "metadata": {"by": "Bob", "rating": 5}},
        )
        assert text(changed).startswith("Successfully updated memory metadata.")
        memory = changed.structured_content["memory"]
        assert (memory["tags"], memory["metadata"]) == (["done"], {"by": "Bob", "rating": 5})

        planned = await call(client, "memory_delete", tags=["done"], dry_run=True)
        assert planned.structured_content["deleted_hashes"] == [content_hash(ATLAS)]
        assert (await service.memories.count()) == 2
        gone = await call(client, "memory_delete", content_hash=content_hash(ATLAS).upper())
        assert text(gone).startswith("Successfully deleted 1 memories")
        assert contents(await call(client, "memory_search")) == [TEA]


async def test_figures_health_and_cleanup_answer(service: McpService, mode: str) -> None:
    async with Client(service.url, mode=mode) as client:
        await call(client, "memory_store", content=TEA, tags=["tea"])
        health = await call(client, "memory_health")
        assert text(health).startswith("Database Health Check Results:\n{")
        assert health.structured_content["status"] == "healthy"
        assert health.structured_content["vector_dimensions"] == 384
        stats = await call(client, "memory_stats")
        assert json.loads(text(stats)) == stats.structured_content
        assert (stats.structured_content["total_memories"], stats.structured_content["unique_tags"]) == (1, 1)
        assert text(await call(client, "memory_cleanup")) == "No duplicate memories found"


async def test_storing_a_text_twice_says_so_and_changes_nothing(service: McpService) -> None:
    async with Client(service.url) as client:
        await call(client, "memory_store", content=TEA, tags=["tea"])
        again = await call(client, "memory_store", content=TEA.upper(), tags=["other"])
    assert not again.is_error
    assert "Duplicate content detected" in text(again)
    assert content_hash(TEA) in text(again)
    assert again.structured_content["stored"] is False
    assert again.structured_content["status"] == "duplicate"
    assert again.structured_content["tags"] == ["tea"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"query": "TUESDAYS", "mode": "exact"}, [ATLAS]),
        ({"query": "tuesdays", "mode": "keyword"}, [ATLAS]),
        ({"query": "Atlas deployed", "mode": "ranked", "limit": 1}, [ATLAS]),
        ({"query": "Atlas deployed", "limit": "1"}, [ATLAS]),
        ({"tags": ["tea", "atlas"], "tag_match": "all"}, []),
        ({"tags": "tea,atlas", "limit": 1}, [ATLAS]),
        ({"tags": ["TEA"]}, [TEA]),
        ({"memory_type": "decision"}, [ATLAS]),
        ({"agent_id": "Claude-1"}, [TEA]),
        ({"agent_id": "claude-1", "tags": ["atlas"]}, []),
        ({"time_expr": "today"}, [ATLAS, TEA]),
        ({"time_expr": "last year"}, []),
        ({"after": "2 hours ago", "before": None}, [ATLAS, TEA]),
        ({"before": "2020-01-01"}, []),
        ({"store": "elsewhere"}, []),
        ({"store": "all"}, [ATLAS, TEA]),
        ({"query": "", "similarity_threshold": None}, [ATLAS, TEA]),
        (
            {
                "tags": ["tea"], "quality_boost": 0.5, "rerank": True, "ranking_weights": {"semantic": 1}, "include_debug": True,
                "include_superseded": True, "entity": "Anna", "fallback": False, "include_beliefs": True, "summarize": True,
            },
            [TEA],
        ),
    ],
    ids=lambda value: json.dumps(value)[:50],
)  # fmt: skip
async def test_a_search_keeps_to_its_filters(
    service: McpService, arguments: dict[str, Any], expected: list[str]
) -> None:
    async with Client(service.url) as client:
        await call(client, "memory_store", content=TEA, tags=["tea"], agent_id="Claude-1")
        await call(client, "memory_store", content=ATLAS, tags=["atlas"], memory_type="decision")
        found = await call(client, "memory_search", **arguments)
    assert contents(found) == expected
    headline = text(found).splitlines()[0]
    assert headline.startswith(f"Found {len(expected)} memories (mode: " if expected else "No memories found (mode: ")


async def test_an_answer_is_as_long_as_asked_for(service: McpService) -> None:
    async with Client(service.url) as client:
        for number in range(20):
            await call(client, "memory_store", content=f"Note {number} about Atlas " + "and more " * 40)
        found = await call(client, "memory_search", query="Atlas", limit=20, max_response_chars=1500)
    assert len(text(found)) < 1700
    assert 1 <= len(found.structured_content["memories"]) < 20
    assert found.structured_content["total"] == 20


async def test_a_conversation_is_kept_and_its_turns_are_all_stored(service: McpService) -> None:
    async with Client(service.url) as client:
        stored = await call(client, "memory_store", content=TEA, conversation_id="c-1", restore_deleted=True)
        memory = await service.memories.get(stored.structured_content["content_hash"])
    assert memory.metadata == {"conversation_id": "c-1"}


async def test_memories_of_a_time_can_be_listed_as_stale_and_deleted(service: McpService) -> None:
    async with Client(service.url) as client:
        await call(client, "memory_store", content=TEA)
        assert contents(await call(client, "memory_list", stale_days=1)) == []
        assert contents(await call(client, "memory_list", stale_days=0)) == [TEA]
        gone = await call(client, "memory_delete", after="1 hour ago", before=time.time() + 60)
        assert gone.structured_content["deleted_count"] == 1


async def test_an_empty_list_takes_all_tags_away(service: McpService) -> None:
    async with Client(service.url) as client:
        await call(client, "memory_store", content=TEA, tags=["tea"])
        changed = await call(
            client, "memory_update", content_hash=content_hash(TEA), updates='{"tags": []}', versioned=True
        )
    assert changed.structured_content["memory"]["tags"] == []


async def test_old_names_go_on_working(service: McpService, mode: str) -> None:
    async with Client(service.url, mode=mode) as client:
        stored = await call(client, "store_memory", content=TEA, metadata={"tags": ["tea"], "type": "note"})
        assert text(stored).startswith("Memory stored successfully (hash: ")
        await call(client, "store_memory", content=ATLAS, tags="atlas")
        assert contents(await call(client, "retrieve_memory", query="green tea", n_results=1)) == [TEA]
        assert contents(
            await call(client, "recall_memory", query="what was said today about green tea", n_results=1)
        ) == [TEA]
        assert contents(await call(client, "recall_memory", query="yesterday")) == []
        assert contents(await call(client, "search_by_tag", tags=["tea"])) == [TEA]
        assert contents(await call(client, "search_by_tag", tag="atlas")) == [ATLAS]
        assert contents(await call(client, "search_by_tag", tags="tea,atlas", match_all=True)) == []
        assert contents(await call(client, "list_memories", tag="tea", memory_type="note")) == [TEA]
        assert (await call(client, "list_memories")).structured_content["page_size"] == 10
        assert (await call(client, "check_database_health")).structured_content["status"] == "healthy"
        gone = await call(client, "delete_memory", content_hash=content_hash(TEA))
        assert gone.structured_content["deleted_count"] == 1
        assert contents(await call(client, "list_memories")) == [ATLAS]


async def test_old_names_are_gone_when_switched_off() -> None:
    with mcp_service(legacy_names=False) as service:
        async with Client(service.url, mode="legacy") as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert names == set(listed_tools(legacy_names=False))
            with pytest.raises(MCPError, match=r"Unknown tool: store_memory.*MCP_LEGACY_TOOL_NAMES"):
                await client.call_tool("store_memory", {"content": TEA})


@pytest.mark.parametrize("everything", [False, True])
async def test_clients_see_titles_hints_and_schemas(mode: str, everything: bool) -> None:
    with mcp_service(list_everything=everything) as service:
        async with Client(service.url, mode=mode) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert list(tools) == list(listed_tools(everything=everything))
    for name, tool in listed_tools(everything=everything).items():
        assert tools[name].title == tool.title
        assert tools[name].input_schema == tool.input_schema(everything=everything)
        assert tools[name].output_schema == tool.output
        hints = tools[name].annotations
        assert hints is not None
        assert (hints.read_only_hint, hints.destructive_hint) == (tool.read_only, tool.destructive)
        assert (hints.idempotent_hint, hints.open_world_hint) == (True, False)


async def test_resources_can_be_read(service: McpService, mode: str) -> None:
    async def read(client: Client, uri: str) -> Any:
        (content,) = (await client.read_resource(uri)).contents
        assert isinstance(content, TextResourceContents)
        assert content.mime_type == "application/json"
        return json.loads(content.text)

    async with Client(service.url, mode=mode) as client:
        await call(client, "memory_store", content=TEA, tags=["tea", "habit"])
        await call(client, "memory_store", content=ATLAS, tags=["habit"], store="work")
        listed = [resource.uri for resource in (await client.list_resources()).resources]
        assert listed == ["memory://stats", "memory://tags", "memory://recent/10"]
        (template,) = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == "memory://recent/{n}"
        assert (await read(client, "memory://stats"))["total_memories"] == 2
        assert (await read(client, "memory://tags"))["tags"][0] == {"tag": "habit", "count": 2}
        recent = await read(client, "memory://recent/1")
        assert ([memory["content"] for memory in recent["memories"]], recent["total"]) == ([ATLAS], 2)
        for wrong in (
            "memory://recent/0",
            "memory://recent/101",
            "memory://recent/x",
            "memory://nothing",
            "file:///etc/passwd",
        ):
            with pytest.raises(MCPError):
                await client.read_resource(wrong)


async def test_clients_that_work_at_once_get_their_own_answers(service: McpService) -> None:
    async def work(number: int) -> None:
        async with Client(service.url, mode="legacy" if number % 2 else "auto") as client:
            for step in range(5):
                content = f"worker{number} step{step} zebra"
                stored = await call(client, "memory_store", content=content, tags=[f"w{number}"])
                assert stored.structured_content["content_hash"] == content_hash(content)
                found = await call(client, "memory_search", query=content, mode="exact")
                assert contents(found) == [content]
            assert len(contents(await call(client, "memory_search", tags=[f"w{number}"]))) == 5

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(work, number)
    assert await service.memories.count() == 50
