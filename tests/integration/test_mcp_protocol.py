"""/mcp speaks every released protocol version, without sessions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest
from mcp_types.version import KNOWN_PROTOCOL_VERSIONS

from integration.mcp_service import McpService, mcp_service
from mcp_memory import __version__
from mcp_memory.mcp.app import build_mcp_app
from mcp_memory.mcp.handshake import HANDSHAKE_VERSIONS, initialize_result
from mcp_memory.mcp.tools.registry import descriptions


@pytest.fixture(scope="module")
def service() -> Iterator[McpService]:
    with mcp_service() as running:
        yield running


def post(service: McpService, method: str, params: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
    message = {"jsonrpc": "2.0", "id": 7, "method": method, **({} if params is None else {"params": params})}
    return httpx.post(
        service.url, json=message, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


@pytest.mark.parametrize("version", [*KNOWN_PROTOCOL_VERSIONS, "2023-01-01", "nonsense"])
def test_the_stdio_bridge_answers_initialize_as_the_server_does(service: McpService, version: str) -> None:
    client = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    answer = post(service, "initialize", client)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert "mcp-session-id" not in answer.headers
    assert answer.json()["result"] == initialize_result(version)
    assert answer.json()["result"]["serverInfo"] == {"name": "memory", "version": __version__}


INCOMPLETE: list[Any] = [
    {},
    [],
    None,
    {"protocolVersion": None},
    {"protocolVersion": 5, "capabilities": None, "clientInfo": []},
    {"protocolVersion": "2025-06-18"},
    {"protocolVersion": "2024-11-05", "capabilities": {}},
    {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {}},
    {"capabilities": {"roots": {"listChanged": True}}, "clientInfo": {"name": "a client"}},
]


@pytest.mark.parametrize("params", INCOMPLETE, ids=repr)
def test_an_initialize_without_all_its_parameters_is_answered(service: McpService, params: Any) -> None:
    expected = initialize_result(params.get("protocolVersion") if isinstance(params, dict) else None)
    message = {"jsonrpc": "2.0", "id": "first", "method": "initialize", "params": params}
    # Also where the client names a version in the header, and where the body comes in pieces.
    parts = [json.dumps(message).encode()[:20], json.dumps(message).encode()[20:]]
    headers = {"content-type": "application/json", "mcp-protocol-version": "2025-06-18"}
    for answer in (
        httpx.post(service.url, json=message),
        httpx.post(service.url, content=iter(parts), headers=headers),
    ):
        assert answer.status_code == 200
        assert answer.json() == {"jsonrpc": "2.0", "id": "first", "result": expected}


def test_an_initialize_without_any_parameters_is_answered(service: McpService) -> None:
    assert post(service, "initialize").json()["result"] == initialize_result(None)


def test_a_text_that_speaks_of_initialize_is_taken_as_it_is(service: McpService) -> None:
    call = {"name": "memory_search", "arguments": {"query": "initialize"}}
    called = post(service, "tools/call", call).json()["result"]["structuredContent"]
    assert "'initialize'" in called["message"]
    assert httpx.post(service.url, json=[{"method": "initialize"}]).status_code == 400
    wrong = httpx.post(service.url, json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": "x"})
    assert "error" in wrong.json()


@pytest.mark.parametrize("version", HANDSHAKE_VERSIONS)
def test_every_version_lists_and_calls_tools_without_a_session(service: McpService, version: str) -> None:
    result = post(service, "tools/list", mcp_protocol_version=version).json()["result"]
    listed = result["tools"]
    assert result == {"tools": descriptions(legacy_names=True, everything=False)}  # as the stdio bridge answers
    assert {"memory_store", "memory_search"} <= {tool["name"] for tool in listed}
    called = post(service, "tools/call", {"name": "memory_search", "arguments": {}}, mcp_protocol_version=version)
    assert called.json()["result"]["content"][0]["text"].startswith("No memories found (mode: time)")


def test_a_client_that_names_no_version_is_served(service: McpService) -> None:
    assert post(service, "ping").json() == {"jsonrpc": "2.0", "id": 7, "result": {}}
    assert (
        post(service, "tools/call", {"name": "memory_stats"}).json()["result"]["structuredContent"]["total_memories"]
        == 0
    )


def test_a_client_without_an_accept_header_is_served(service: McpService) -> None:
    with httpx.Client() as client:
        del client.headers["accept"]
        answer = client.post(service.url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
    assert answer.json()["result"] == {}


@pytest.mark.parametrize("version", [None, *HANDSHAKE_VERSIONS, "2026-07-28"])
def test_notifications_are_accepted(service: McpService, version: str | None) -> None:
    headers = {} if version is None else {"mcp-protocol-version": version}
    for method in ("notifications/initialized", "notifications/cancelled", "notifications/unheard_of"):
        answer = httpx.post(service.url, json={"jsonrpc": "2.0", "method": method}, headers=headers)
        assert (answer.status_code, answer.content) == (202, b"")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD"])
def test_there_is_no_session_to_listen_to_or_to_end(service: McpService, method: str) -> None:
    answer = httpx.request(method, service.url, headers={"accept": "text/event-stream"}, timeout=5)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"{}", b'{"jsonrpc":"2.0","id":1}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_message_is_refused(service: McpService, body: bytes) -> None:
    answer = httpx.post(service.url, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] < 0


def test_a_form_of_a_web_page_is_refused(service: McpService) -> None:
    """A page may send text/plain to any site without asking first; JSON it may not."""
    body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"memory_cleanup"}}'
    assert httpx.post(service.url, content=body, headers={"content-type": "text/plain"}).status_code == 400


def test_unknown_methods_and_tools_are_protocol_errors(service: McpService) -> None:
    assert post(service, "prompts/list").json()["error"]["code"] == -32601
    unknown = post(service, "tools/call", {"name": "memory_explode", "arguments": {}}).json()["error"]
    assert unknown["code"] == -32602
    assert "memory_search" in unknown["message"]
    assert post(service, "tools/call", {"arguments": {}}).json()["error"]["code"] == -32602


def test_the_application_can_be_started_again() -> None:
    app = build_mcp_app(lambda: pytest.fail("no request is made"))

    async def start_twice() -> None:
        for _ in range(2):
            async with app.lifespan():
                pass

    anyio.run(start_twice)
