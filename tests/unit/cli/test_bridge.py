"""The stdio bridge as a client sees it: lines in, lines out."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from embedders import HashEmbedder
from mcp_memory.cli.bridge import Bridge
from mcp_memory.cli.bridge import _store as bridge_store
from mcp_memory.mcp.app import build_mcp_app
from mcp_memory.mcp.handshake import http_headers, initialize_result
from mcp_memory.memories.service import Memories
from mcp_memory.owner.client import OwnerClient
from reference_storage import ReferenceStorage
from unit.owner.conftest import folder  # noqa: F401  (a fixture)
from unit.owner.small_service import starter, store_at, until

pytestmark = pytest.mark.anyio


class Client:
    """What an MCP client does with a bridge."""

    def __init__(self, bridge: Bridge, written: asyncio.Queue[bytes]) -> None:
        self.bridge = bridge
        self._written = written

    async def send(self, message: object) -> None:
        await self.bridge.receive(message if isinstance(message, bytes) else json.dumps(message).encode())

    async def read(self) -> Any:
        async with asyncio.timeout(20):
            line = await self._written.get()
        assert b"\n" not in line
        return json.loads(line)

    async def ask(self, method: str, id_: object = 1, **params: object) -> Any:
        await self.send({"jsonrpc": "2.0", "id": id_, "method": method, "params": params})
        return await self.read()

    @property
    def silent(self) -> bool:
        return self._written.empty()


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[Client]:  # noqa: F811
    written: asyncio.Queue[bytes] = asyncio.Queue()

    async def make() -> OwnerClient:
        return OwnerClient(store_at(folder), start=starter())

    bridge = Bridge(make, written.put)
    yield Client(bridge, written)
    await bridge.close()


@pytest.mark.parametrize("params", [{}, [], None, {"protocolVersion": None}, {"protocolVersion": 5}, "x"], ids=repr)
async def test_a_handshake_without_parameters_is_answered_in_the_newest_version(client: Client, params: object) -> None:
    await client.send({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
    assert (await client.read())["result"] == initialize_result(None)


async def test_the_handshake_is_answered_before_any_owner_is_there(client: Client, folder: Path) -> None:  # noqa: F811
    answer = await client.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={})
    assert answer["result"]["protocolVersion"] == "2025-06-18"
    assert answer["result"]["serverInfo"]["name"] == "memory"
    assert (await client.ask("ping", "p")) == {"jsonrpc": "2.0", "id": "p", "result": {}}
    assert not (folder / "starts.txt").exists()
    await until((folder / "starts.txt").exists)  # then it is brought up, before anyone asks for a tool


async def test_requests_are_carried_with_the_negotiated_version(client: Client) -> None:
    await client.ask("initialize", protocolVersion="2025-03-26")
    answer = await client.ask("resources/read", 7)
    assert answer == {"jsonrpc": "2.0", "id": 7, "result": {"method": "resources/read", "version": "2025-03-26"}}


async def test_who_this_assistant_is_goes_with_every_request(
    folder: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MCP_AGENT_ID", "Gärtner")
    monkeypatch.setenv("MCP_QDRANT_STORAGE_PATH", str(folder))
    _, headers = bridge_store()
    written: asyncio.Queue[bytes] = asyncio.Queue()

    async def make() -> OwnerClient:
        return OwnerClient(store_at(folder), start=starter(), headers=headers)

    client = Client(Bridge(make, written.put), written)
    await client.ask("initialize")
    assert (await client.ask("resources/read", 7))["result"]["agent"] == "Gärtner"
    await client.bridge.close()


async def test_a_quick_request_overtakes_a_slow_one(client: Client) -> None:
    await client.ask("tools/list", 0)
    await client.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"seconds": 1}})
    assert (await client.ask("tools/list", 2))["id"] == 2
    assert (await client.read())["id"] == 1


async def test_a_cancelled_request_is_never_answered(client: Client) -> None:
    await client.ask("tools/list", 0)
    await client.send({"jsonrpc": "2.0", "id": "slow", "method": "tools/call", "params": {"seconds": 60}})
    await client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "slow"}})
    async with asyncio.timeout(5):
        await client.bridge.finish()
    assert client.silent
    assert (await client.ask("tools/list", 3))["id"] == 3


async def test_a_batch_is_answered_by_a_batch_without_its_notifications(client: Client) -> None:
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
        "nonsense",
    ]
    await client.send(batch)
    answers = await client.read()
    assert [answer["id"] for answer in answers] == [1, 2, None]
    assert answers[2]["error"]["code"] == -32600
    await client.send([{"jsonrpc": "2.0", "method": "notifications/initialized"}])
    await client.bridge.finish()
    assert client.silent


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"3", -32600),
        (b'{"id": null, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": [1], "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1e400, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": NaN, "method": "tools/call"}', -32600),
        (b'{"jsonrpc": "2.0", "id": true, "method": "tools/call"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1.5, "method": "initialize"}', -32600),
        (b'{"jsonrpc": "2.0", "id": ' + b"9" * 400 + b', "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": ' + b"9" * 5000 + b', "method": "ping"}', -32700),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 1e400}', -32600),
    ],
)
async def test_what_is_no_request_gets_an_error_and_the_session_goes_on(client: Client, line: bytes, code: int) -> None:
    await client.send(line)
    answer = await client.read()
    assert answer["error"]["code"] == code
    assert answer["id"] is None
    assert (await client.ask("ping"))["result"] == {}


async def test_notifications_responses_and_blank_lines_are_not_answered(client: Client) -> None:
    await client.send(b"  ")
    await client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    await client.send({"jsonrpc": "2.0", "id": 1, "result": {}})
    await client.bridge.finish()
    assert client.silent


async def test_an_http_error_becomes_the_answer_to_its_request(client: Client) -> None:
    answer = await client.ask("tools/call", 5, status=503)
    assert answer["id"] == 5
    assert answer["error"]["message"] == "under maintenance"
    assert answer["error"]["data"] == {"code": "storage_busy", "status": 503}


async def test_an_event_stream_becomes_lines(client: Client) -> None:
    await client.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"stream": True}})
    assert (await client.read())["method"] == "notifications/message"
    assert (await client.read())["id"] == 1


def run_mcp(lines: bytes, home: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "mcp_memory.cli", "mcp"],
        input=lines,
        capture_output=True,
        check=False,
        timeout=60,
        env=os.environ | {"MCP_MEMORY_BASE_DIR": str(home)} | environment,
    )


def test_a_mistake_in_the_settings_reaches_the_assistant(tmp_path: Path) -> None:
    lines = b'{"jsonrpc":"2.0","id":1,"method":"initialize"}\n{"jsonrpc":"2.0","id":2,"method":"tools/list"}\n'
    done = run_mcp(lines, tmp_path, MCP_HTTP_PORT="many")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [1, 2]
    assert "MCP_HTTP_PORT" in answers[1]["error"]["message"]
    assert answers[1]["error"]["data"] == {"code": "configuration_error"}
    assert done.returncode == 0


def test_the_last_line_needs_no_newline_and_the_bridge_ends_with_its_input(tmp_path: Path) -> None:
    done = run_mcp(b'{"jsonrpc":"2.0","id":1,"method":"ping"}', tmp_path)
    assert json.loads(done.stdout) == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert done.returncode == 0


def test_input_from_a_file_is_served(tmp_path: Path) -> None:
    script = tmp_path / "session.jsonl"
    script.write_bytes(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n' * 3)
    with script.open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-m", "mcp_memory.cli", "mcp"], stdin=stdin, capture_output=True, check=False, timeout=60
        )
    assert len(done.stdout.splitlines()) == 3


def test_initialize_is_answered_in_half_a_second_with_nothing_heavy_loaded(tmp_path: Path) -> None:
    """In processor time, so that a loaded machine doesn't matter."""
    code = (
        "import sys, mcp_memory.cli.entry, mcp_memory.cli.bridge;"
        "print([m for m in ('pydantic', 'fastapi', 'typer', 'rich', 'httpx', 'mcp', 'numpy', 'structlog') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True, timeout=60)
    assert loaded.stdout.strip() == "[]", loaded.stderr
    with subprocess.Popen(
        [sys.executable, "-m", "mcp_memory.cli", "mcp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"MCP_MEMORY_BASE_DIR": str(tmp_path), "MCP_HTTP_PORT": "none: so that no owner starts"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"initialize"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        times = psutil.Process(process.pid).cpu_times()
        assert times.user + times.system < 0.5, times
        process.stdin.close()


MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
FUTURE = {**MODERN, "io.modelcontextprotocol/protocolVersion": "2030-01-01"}
UNCHANGING = ("server/discover", "tools/list", "resources/list", "resources/templates/list", "prompts/list")


@pytest.mark.parametrize("meta", [None, MODERN, FUTURE], ids=["session", "2026-07-28", "2030-01-01"])
async def test_what_never_changes_is_answered_while_no_owner_answers_and_as_the_owner_would(
    meta: dict[str, Any] | None,
) -> None:
    """A cold owner takes seconds to load its model; one host timed out."""
    written: asyncio.Queue[bytes] = asyncio.Queue()

    async def never() -> OwnerClient:
        await asyncio.Event().wait()
        raise AssertionError

    bridge = Bridge(never, written.put)
    client = Client(bridge, written)
    if meta is None:
        await client.ask("initialize", protocolVersion="2025-06-18")
    app = build_mcp_app(lambda: Memories(ReferenceStorage(), HashEmbedder()))
    async with app.lifespan(), httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        for method in UNCHANGING:
            params = {} if meta is None else {"_meta": meta}
            answer = await client.ask(method, 2, **params)
            message = {"jsonrpc": "2.0", "id": 2, "method": method, "params": params}
            headers = http_headers(message, "2025-06-18")
            assert answer == (await http.post("http://localhost/mcp", json=message, headers=headers)).json()
    assert (await client.ask("ping", 3))["result"] == {}
    await bridge.close()


async def test_what_it_does_not_know_is_left_to_the_owner(client: Client) -> None:
    await client.ask("initialize", protocolVersion="2025-06-18")
    for params in (
        {"cursor": "x"},
        {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}},
        {"_meta": {"io.modelcontextprotocol/protocolVersion": 7}},
    ):
        assert (await client.ask("tools/list", 2, **params))["result"]["method"] == "tools/list"
