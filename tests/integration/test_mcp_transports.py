"""The whole service as assistants meet it: started as a process, real model and storage, over HTTP and over stdio."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from jsonschema import validate
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent, TextResourceContents

from mcp_memory.domain.memory import content_hash
from mcp_memory.mcp.handshake import HANDSHAKE_VERSIONS
from mcp_memory.mcp.tools.registry import answered_tools, listed_tools

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

BIN = Path(sys.executable).parent
CAR, TEA = "Bob bought an electric car in May", "Anna drinks green tea every morning"


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """This process's, without settings of its own, and all data below `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MCP_", "QDRANT_", "OPENAI_"))}
    return {
        **kept,
        "MCP_MEMORY_BASE_DIR": str(folder),
        "MCP_OWNER_IDLE_SECONDS": "3",
        "LOG_LEVEL": "WARNING",
        **settings,
    }


@contextmanager
def http_server(folder: Path, **settings: str) -> Iterator[str]:
    """`memory server` on a free port, until the context ends; the address of its /mcp."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        [BIN / "memory", "server"],
        env=environment(folder, MCP_HTTP_PORT=str(port), **settings),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{port}/readyz", folder / "server.log")
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        log.close()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail(f"not ready after 60 s:\n{log.read_text()}")


def stdio(folder: Path, command: str) -> StdioServerParameters:
    program, *arguments = command.split()
    return StdioServerParameters(command=str(BIN / program), args=arguments, env=environment(folder))


@pytest.fixture(params=["http", "memory mcp", "memory server", "mcp-memory-server", "memory-server"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | StdioServerParameters]:
    if request.param == "http":
        with http_server(tmp_path) as url:
            yield url
    else:
        yield stdio(tmp_path, request.param)


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    validate(result.structured_content, answered_tools()[tool].output)
    answer: dict[str, Any] = result.structured_content
    return answer


def contents(answer: dict[str, Any]) -> list[str]:
    return [memory["content"] for memory in answer["memories"]]


async def test_every_tool_and_old_name_works(address: str | StdioServerParameters) -> None:
    async with Client(address, mode="legacy", read_timeout_seconds=60) as client:
        assert client.server_info is not None
        assert (client.server_info.name, client.protocol_version) == ("memory", HANDSHAKE_VERSIONS[-1])
        assert {tool.name for tool in (await client.list_tools()).tools} == set(listed_tools())

        assert (await call(client, "memory_store", content=TEA, tags=["habit"]))["content_hash"] == content_hash(TEA)
        await call(client, "store_memory", content=CAR, metadata={"tags": "purchase", "type": "event"})
        by_meaning = await call(client, "memory_search", query="what vehicle does he own", mode="semantic", limit=1)
        assert contents(by_meaning) == [CAR]
        assert contents(await call(client, "retrieve_memory", query="beverage", n_results=1)) == [TEA]
        assert contents(
            await call(client, "recall_memory", query="what did we note today about cars", n_results=1)
        ) == [CAR]
        assert contents(await call(client, "search_by_tag", tags=["habit"])) == [TEA]
        assert contents(await call(client, "memory_list")) == [CAR, TEA]
        assert contents(await call(client, "list_memories", tag="habit")) == [TEA]

        updates = {"tags": ["drink"], "metadata": {"cups": 2}}
        changed = await call(client, "memory_update", content_hash=content_hash(TEA), updates=updates)
        assert (changed["memory"]["tags"], changed["memory"]["metadata"]) == (["drink"], {"cups": 2})

        assert (await call(client, "memory_health"))["status"] == "healthy"
        assert (await call(client, "check_database_health"))["vector_dimensions"] == 384
        assert (await call(client, "memory_stats"))["total_memories"] == 2
        assert (await call(client, "memory_cleanup"))["deleted_count"] == 0
        (recent,) = (await client.read_resource("memory://recent/5")).contents
        assert isinstance(recent, TextResourceContents)
        assert len(json.loads(recent.text)["memories"]) == 2

        assert (await call(client, "delete_memory", content_hash=content_hash(TEA)))["deleted_count"] == 1
        assert (await call(client, "memory_delete", tags=["purchase"]))["deleted_count"] == 1
        assert contents(await call(client, "memory_list")) == []


async def test_a_mistake_is_an_answer_on_every_transport(address: str | StdioServerParameters) -> None:
    async with Client(address, read_timeout_seconds=60) as client:
        result: CallToolResult = await client.call_tool("memory_store", {"content": " "})
        (content,) = result.content
        assert isinstance(content, TextContent)
        assert (result.is_error, content.text[:23]) == (True, "Error (invalid_input): ")


async def test_what_one_assistant_stores_another_finds_whatever_it_speaks(tmp_path: Path) -> None:
    with http_server(tmp_path) as url:
        async with (
            Client(url) as over_http,
            Client(stdio(tmp_path, "memory mcp"), read_timeout_seconds=60) as one,
            Client(stdio(tmp_path, "memory mcp"), mode="legacy", read_timeout_seconds=60) as two,
        ):
            clients = [over_http, one, two]

            async def store(client: Client, number: int) -> None:
                for step in range(5):
                    await call(client, "memory_store", content=f"Client {number} noted the number {step}", tags=["n"])

            async with anyio.create_task_group() as group:
                for number, client in enumerate(clients):
                    group.start_soon(store, client, number)
            for client in clients:
                assert (await call(client, "memory_stats"))["total_memories"] == 15
                assert len(contents(await call(client, "memory_search", tags=["n"], limit=100))) == 15


async def test_memories_outlast_the_processes(tmp_path: Path) -> None:
    async with Client(stdio(tmp_path, "memory mcp"), read_timeout_seconds=60) as client:
        await call(client, "memory_store", content=TEA)
    with http_server(tmp_path, MCP_API_KEY="k" * 20) as url:
        async with httpx2.AsyncClient() as keyless:
            assert (await keyless.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})).status_code == 401
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {'k' * 20}"}) as with_key,
            Client(streamable_http_client(url, http_client=with_key)) as client,
        ):
            assert contents(await call(client, "memory_list")) == [TEA]
        async with Client(stdio(tmp_path, "memory mcp"), read_timeout_seconds=60) as client:
            assert contents(await call(client, "memory_list")) == [TEA]
