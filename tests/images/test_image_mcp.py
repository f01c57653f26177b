"""MCP through an image: over stdio as `docker run -i`, over HTTP with the key."""

from __future__ import annotations

import json
import subprocess
import time
import uuid

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from engine import Engine, docker

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_assistant_uses_the_image_over_stdio(engine: Engine) -> None:
    arguments = ["run", "--rm", "--interactive", "--network", "none", *engine.arguments([], None, None), "mcp"]
    server = StdioServerParameters(command="docker", args=arguments)
    async with Client(server, read_timeout_seconds=120) as client:
        await client.call_tool("memory_store", {"content": "Anna drinks green tea every morning"})
        found = await client.call_tool("memory_search", {"query": "hot beverages"})
    assert "green tea" in str(found.content)


async def test_assistant_uses_the_image_over_http(engine: Engine) -> None:
    container = engine.run(options=["--publish", "127.0.0.1::8000"])
    container.wait_healthy()
    key = container.execute("memory", "key").strip()
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=120) as http,
        Client(streamable_http_client(f"{container.url()}/mcp", http_client=http)) as client,
    ):
        await client.call_tool("memory_store", {"content": "Bob bought an electric car in May"})
        found = await client.call_tool("memory_search", {"query": "vehicles"})
    assert "electric car" in str(found.content)


def test_stdout_is_json_rpc_alone_and_the_container_lives_as_long_as_stdin(engine: Engine) -> None:
    name = f"memory-test-{uuid.uuid4().hex[:12]}"
    arguments = ["docker", "run", "--rm", "--interactive", "--name", name, *engine.arguments([], None, None), "mcp"]
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(_message("initialize", hello, number=1) + _message("notifications/initialized"))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["result"]["serverInfo"]["name"]
        time.sleep(3)  # the original ended here
        process.stdin.write(_message("tools/list", {}, number=2))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["result"]["tools"]
        assert process.poll() is None
        process.stdin.close()
        for line in process.stdout:
            assert json.loads(line)["jsonrpc"] == "2.0"
        assert process.wait(30) == 0
    finally:
        docker("rm", "--force", "--volumes", name, check=False)
        process.wait(30)


def _message(method: str, params: dict[str, object] | None = None, *, number: int | None = None) -> bytes:
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        message["params"] = params
    if number is not None:
        message["id"] = number
    return json.dumps(message).encode() + b"\n"
