"""Wrong input and a storage in trouble are answers that a model can act on; they change nothing and give nothing away."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from integration.mcp_service import McpService, mcp_service
from mcp_memory.domain.errors import CircuitOpenError, StorageFullError
from mcp_memory.domain.memory import ScoredMemory, content_hash
from mcp_memory.domain.query import SearchQuery
from mcp_memory.memories.service import Memories
from mcp_memory.storage.base import StorageHealth
from reference_storage import ReferenceStorage

pytestmark = pytest.mark.anyio

NOTE = "Something worth keeping"
HASH = content_hash(NOTE)


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("memory_store", {}, "argument content is required"),
    ("memory_store", {"content": None}, "argument content is required"),
    ("memory_store", {"content": "  "}, "content is empty"),
    ("memory_store", {"content": 5}, "argument content must be a text"),
    ("memory_store", {"content": "x" * 70_000}, "65,536"),
    ("memory_store", {"content": "a\0b"}, "NUL"),
    ("memory_store", {"content": "x", "tags": ["a,b"]}, "comma"),
    ("memory_store", {"content": "x", "tags": [str(n) for n in range(10_000)]}, "100"),
    ("memory_store", {"content": "x", "tags": [1]}, "text"),
    ("memory_store", {"content": "x", "metadata": deep(100)}, "levels deep"),
    ("memory_store", {"content": "x", "metadata": {"n": 2**70}}, "64-bit"),
    ("memory_store", {"content": "x", "metadata": [1]}, "JSON object"),
    ("memory_store", {"content": "x", "metadata": {"type": 5}}, "memory_type must be a text"),
    ("memory_store", {"content": "x", "metadata": {"tags": {"a": 1}}}, "metadata.tags"),
    ("memory_store", {"content": "x", "store": "all"}, "every store"),
    ("memory_search", {"query": "x", "mode": "fuzzy"}, "no search mode 'fuzzy'"),
    ("memory_search", {"query": "x", "limit": 0}, "limit"),
    ("memory_search", {"query": "x", "limit": -1}, "limit"),
    ("memory_search", {"query": "x", "limit": "1e999"}, "limit must be a number, got inf"),
    ("memory_search", {"query": "x", "limit": "many"}, "argument limit must be a number"),
    ("memory_search", {"query": ["x"]}, "argument query must be a text"),
    ("memory_search", {"query": "x", "similarity_threshold": 7}, "similarity_threshold"),
    ("memory_search", {"query": "x", "tag_match": "most"}, "tag_match"),
    ("memory_search", {"query": "x", "time_expr": "when the cows come home"}, "cows"),
    ("memory_search", {"query": "x", "after": "soonish"}, "after"),
    ("memory_search", {"agent_id": "a", "tags": ["b", "c"]}, "agent_id"),
    ("memory_search", {"query": "x", "tagz": "y"}, "no argument 'tagz'. Did you mean tags? Its arguments: query"),
    ("memory_search", {"q": "x", "query": "y"}, "q and query mean the same argument"),
    ("memory_list", {"page": 0}, "page"),
    ("memory_list", {"page_size": 0}, "page_size must be from 1 to 100"),
    ("memory_list", {"limit": -5}, "page_size must be from 1 to 100, got -5"),
    ("retrieve_memory", {"query": "x", "n_results": 0}, "limit"),
    ("memory_list", {"stale_days": -1}, "stale_days"),
    ("memory_list", {"stale_days": 1e308}, "stale_days"),
    ("memory_update", {"content_hash": HASH}, "nothing to change"),
    ("memory_update", {"updates": {"tags": ["x"]}}, "content_hash is required"),
    ("memory_update", {"content_hash": HASH, "updates": {"add_tag": ["x"]}}, "Did you mean add_tags?"),
    ("memory_update", {"content_hash": HASH, "updates": {"priority": 1}}, "belongs into updates.metadata"),
    ("memory_update", {"content_hash": HASH[:12], "updates": {"store": "all"}}, "every store"),
    ("memory_store", {"content": "x", "replaces": "0" * 64}, "No memory has the hash"),
    ("memory_store", {"content": "x", "memories": [{"content": "y"}]}, "not both"),
    ("memory_update", {"content_hash": HASH, "updates": {}}, "nothing to change"),
    ("memory_update", {"content_hash": HASH, "updates": {"content": "new"}}, "content can't be changed"),
    ("memory_update", {"content_hash": "abc", "updates": {"tags": ["x"]}}, "64 hexadecimal digits"),
    ("memory_update", {"content_hash": "0" * 64, "updates": {"tags": ["x"]}}, "No memory has the hash"),
    ("memory_update", {"content_hash": HASH, "updates": {"tags": 5}}, "tags must be"),
    ("memory_update", {"content_hash": HASH, "updates": "tags: x"}, "argument updates must be a JSON object"),
    ("memory_delete", {}, "content_hash, hashes, tags"),
    ("memory_delete", {"store": "default"}, "condition"),
    ("memory_delete", {"content_hash": " ", "tags": []}, "condition"),
    ("memory_delete", {"after": "2000-01-01", "expect": 7}, "1 memories meet these conditions, not 7"),
    ("memory_delete", {"content_hash": "xyz"}, "64 hexadecimal digits"),
    ("memory_delete", {"content_hash": "0" * 64}, "No memory has the hash"),
    ("memory_delete", {"tgas": "x", "before": "tomorrow"}, "no argument 'tgas'"),
    ("memory_delete", {"tags": ["x"], "dry_run": "perhaps"}, "dry_run"),
    ("memory_health", {"verbose": True}, "no argument 'verbose'. Its arguments: none"),
    ("recall_memory", {"query": "a\0 yesterday"}, "NUL"),
    ("search_by_tag", {}, "argument tags is required"),
    ("delete_memory", {"content_hash": ""}, "argument content_hash is required"),
]


@pytest.fixture
def service() -> Iterator[McpService]:
    with mcp_service() as running:
        yield running


def text(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_wrong_input_is_named_and_changes_nothing(service: McpService, mode: str) -> None:
    async with Client(service.url, mode=mode) as client:
        await client.call_tool("memory_store", {"content": NOTE, "tags": ["x"]})
        before = await service.memories.get(HASH)
        for tool, arguments, message in WRONG:
            result = await client.call_tool(tool, arguments)
            assert result.is_error, (tool, arguments)
            assert message in text(result), (tool, arguments, text(result))
            code = "memory_not_found" if "No memory" in message else "invalid_input"
            assert text(result).startswith(f"Error ({code}): ")
            assert result.meta is not None
            assert result.meta["code"] == code
            assert len(text(result)) < 600
        assert await service.memories.get(HASH) == before
        assert await service.memories.count() == 1


class OpenCircuit(ReferenceStorage):
    async def search(self, _query: SearchQuery) -> list[ScoredMemory]:
        raise CircuitOpenError(retry_at=datetime(2025, 1, 16, 10, 35, tzinfo=UTC), retry_after=42.0)

    async def upsert(self, *_arguments: Any, **_options: Any) -> Any:
        raise StorageFullError("No space is left for the storage.")

    async def health(self) -> StorageHealth:
        return StorageHealth(False, "reference", 0, 384, "Circuit breaker OPEN - Qdrant unavailable.")


async def test_a_storage_in_trouble_is_told_in_the_words_of_the_guide() -> None:
    with mcp_service(OpenCircuit()) as service:
        async with Client(service.url) as client:
            found = await client.call_tool("memory_search", {"query": "x"})
            assert found.is_error
            assert "Circuit breaker OPEN - Qdrant unavailable. Retry after 2025-01-16T10:35:00Z" in text(found)
            assert found.meta is not None
            assert (found.meta["code"], found.meta["retryAfter"]) == ("circuit_open", 42.0)
            stored = await client.call_tool("memory_store", {"content": "x"})
            assert text(stored) == "Error (storage_full): No space is left for the storage."
            health = await client.call_tool("memory_health", {})
            assert not health.is_error
            assert health.structured_content["status"] == "degraded"
            assert health.structured_content["message"].startswith("Circuit breaker OPEN")


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_defect_is_logged_and_its_text_kept_from_the_client(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Memories:
        raise ZeroDivisionError("secret detail")

    with mcp_service(get_memories=broken) as service, caplog.at_level(logging.ERROR):
        async with Client(service.url, mode=mode) as client:
            with pytest.raises(MCPError) as caught:
                await client.call_tool("memory_search", {"query": "x"})
            assert "secret" not in str(caught.value.error)
            with pytest.raises(MCPError) as caught:
                await client.read_resource("memory://stats")
            assert "secret" not in str(caught.value.error)
    assert "secret detail" in caplog.text


LEGACY_HEADERS = {"content-type": "application/json"}
MODERN_HEADERS = {
    **LEGACY_HEADERS, "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "memory_store",
}  # fmt: skip
META = (
    '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}'
)


@pytest.mark.parametrize("headers", [LEGACY_HEADERS, MODERN_HEADERS], ids=["legacy", "2026-07-28"])
@pytest.mark.parametrize(
    "arguments",
    [
        '{"content":"lone \\ud800 surrogate"}',
        '{"content":"x","tags":["\\udfff"]}',
        '{"content":"x","\\ud800":1}',
        '{"content":"x","metadata":{"n":NaN}}',
        '{"content":"x","metadata":{"n":1e999}}',
        '{"content":"x","metadata":' + '{"a":' * 250 + "1" + "}" * 250 + "}",
        '{"content":"x","metadata":' + "[" * 5000 + "]" * 5000 + "}",
        '{"content":"x","metadata":{"n":' + "9" * 5000 + "}}",
        '"content"',
        "[1]",
    ],
    ids=lambda text: text[:40].encode("ascii", "replace").decode(),
)
def test_json_that_python_reads_too_kindly_stores_nothing(
    service: McpService, headers: dict[str, str], arguments: str
) -> None:
    body = (
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{'
        + META
        + ',"name":"memory_store","arguments":'
        + arguments
        + "}}"
    )
    answer = httpx.post(service.url, content=body, headers=headers)
    assert answer.status_code in (200, 400)
    message = answer.json()
    assert "error" in message or message["result"]["isError"] is True
    stats = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "memory_stats"}}
    left = httpx.post(service.url, json=stats).json()
    assert left["result"]["structuredContent"]["total_memories"] == 0
