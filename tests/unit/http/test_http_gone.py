"""A client that hangs up ends the long work it asked for, over REST and MCP."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from served import Served, served
from small_application import application, running

from mcp_memory.config import load_settings
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.memories.wanted import SLICE
from mcp_memory.storage.base import UpsertMode
from reference_storage import ReferenceStorage

pytestmark = pytest.mark.anyio
MANY = [{"content": f"text {number}"} for number in range(800)]
LONG = [{"content": f"{number:04d}" * 1024} for number in range(90)]
CALL = {"name": "memory_store", "arguments": {"memories": LONG}}
CALLS = [
    ("/api/memories/bulk", {"memories": MANY}, SLICE, len(MANY)),
    ("/api/memories/bulk", {"memories": LONG}, 16, len(LONG)),
    ("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": CALL}, 16, len(LONG)),
]
"""Address, body, how many memories are a slice, and all."""


class Slow(ReferenceStorage):
    """Waits in every write until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.writing, self.go = asyncio.Event(), asyncio.Event()
        self.written = 0

    async def upsert(self, memories: Any, *, mode: UpsertMode) -> Any:
        self.writing.set()
        await self.go.wait()
        self.written += 1
        return await super().upsert(memories, mode=mode)


async def hang_up(server: Served, door: str, path: str, body: dict[str, Any], storage: Slow) -> None:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    _, writer = await server.connect(door)
    writer.write(head.encode() + data)
    await asyncio.wait_for(storage.writing.wait(), 20)
    writer.close()
    await writer.wait_closed()
    await until(lambda: not server.server.server_state.connections)
    storage.go.set()
    await until(lambda: not server.server.server_state.tasks)


async def until(condition: Any) -> None:
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110  (uvicorn tells nobody)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("door", ["tcp", "unix"])
@pytest.mark.parametrize(("path", "body", "part", "whole"), CALLS, ids=["many", "long", "mcp"])
async def test_a_bulk_store_ends_with_the_slice_in_which_its_client_went(
    tmp_path: Path, path: str, body: dict[str, Any], *, part: int, whole: int, door: str
) -> None:
    storage = Slow()
    app = application(load_settings(), storage)
    async with running(app), served(app, tmp_path) as server:
        await hang_up(server, door, path, body, storage)
    assert storage.written == 1
    assert await storage.count(EVERYTHING) == part < whole


@pytest.mark.parametrize(("path", "body", "part", "whole"), CALLS, ids=["many", "long", "mcp"])
async def test_who_waits_gets_all_of_it(tmp_path: Path, path: str, body: dict[str, Any], part: int, whole: int) -> None:
    storage = Slow()
    storage.go.set()
    app = application(load_settings(), storage)
    data = json.dumps(body).encode()
    names = "Host: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    head = f"POST {path} HTTP/1.1\r\n{names}"
    async with running(app), served(app, tmp_path) as server:
        answer = await server.ask(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert await storage.count(EVERYTHING) == whole >= part
