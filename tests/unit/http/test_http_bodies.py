"""Bodies hold up nobody, cost a bounded memory, and an answer before their end is seen by every client."""

from __future__ import annotations

import asyncio
import http.client
import json
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import httpx
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from served import served
from small_application import application
from starlette.responses import PlainTextResponse

from mcp_memory.config import load_settings
from mcp_memory.http.middleware.body_limit import BodyLimitMiddleware
from mcp_memory.http.middleware.unread_body import UnreadBodyMiddleware
from mcp_memory.storage.base import BaseStorage

pytestmark = pytest.mark.anyio
LARGE = b" " * 20_000_000
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("door", ["tcp", "unix"])
async def test_half_open_bodies_make_nobody_wait(storage: BaseStorage, door: str, tmp_path: Path) -> None:
    app = application(load_settings(http_max_concurrency=2), storage)
    half = (
        b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    )
    whole = b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with app.router.lifespan_context(app), served(app, tmp_path) as service:
        held = []
        for _ in range(40):  # places are 2, and 8 to wait
            _, writer = await service.connect(door)
            writer.write(half)
            await writer.drain()
            held.append(writer)
        async with asyncio.timeout(5):
            assert (await service.ask(whole, door)).startswith(b"HTTP/1.1 200")
        for writer in held:
            writer.close()


async def test_bodies_that_wait_are_bounded_all_together_and_the_slowest_makes_room() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await PlainTextResponse("reached")(scope, receive, send)

    limited = BodyLimitMiddleware(app, limit=1000, budget=4000)
    statuses: dict[int, int] = {}
    never = asyncio.Event()
    scope = {"type": "http", "path": "/", "headers": [(b"content-length", b"1000")], "server": ("127.0.0.1", 1)}

    async def slow(number: int) -> None:
        parts = iter([b"x" * 999])

        async def receive() -> Any:
            for part in parts:
                return {"type": "http.request", "body": part, "more_body": True}
            await never.wait()
            raise AssertionError

        async def send(message: Any) -> None:
            statuses.setdefault(number, message.get("status", 0))

        await limited(scope, receive, send)

    slow_ones = []
    for number in range(6):
        slow_ones.append(asyncio.create_task(slow(number)))
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await asyncio.gather(*slow_ones[:2])
    assert statuses == {0: 503, 1: 503}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(limited), base_url="http://localhost") as client:
        assert (await client.post("/", content=b"x" * 900)).status_code == 200
    for task in slow_ones:
        task.cancel()
    await asyncio.gather(*slow_ones, return_exceptions=True)
    assert limited._over_tcp._size == 0


def ask_with_http_client(port: int, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/api/memories", LARGE, headers)
    return connection.getresponse().status


def ask_with_urllib(port: int, headers: dict[str, str]) -> int:
    """Says `Connection: close`."""
    url = f"http://127.0.0.1:{port}/api/memories"
    try:
        return int(urllib.request.urlopen(urllib.request.Request(url, LARGE, headers), timeout=20).status)
    except HTTPError as error:
        return error.code


def ask_with_httpx(port: int, headers: dict[str, str]) -> int:
    return httpx.post(f"http://127.0.0.1:{port}/api/memories", content=LARGE, headers=headers, timeout=20).status_code


def ask_chunked(port: int, headers: dict[str, str]) -> int:
    parts = (LARGE[:100_000] for _ in range(100))
    return httpx.post(f"http://127.0.0.1:{port}/api/memories", content=parts, headers=headers, timeout=20).status_code


async def test_every_client_sees_the_answer_to_a_body_that_is_not_wanted(storage: BaseStorage, tmp_path: Path) -> None:
    app = application(load_settings(api_key="k"), storage)
    right = JSON | {"X-API-Key": "k"}
    async with app.router.lifespan_context(app), served(app, tmp_path) as service:
        for ask in (ask_with_http_client, ask_with_urllib, ask_with_httpx, ask_chunked):
            assert await asyncio.to_thread(ask, service.port, right) == 413
            assert await asyncio.to_thread(ask, service.port, JSON) == 401


async def test_a_client_that_asks_first_is_told_at_once(storage: BaseStorage, tmp_path: Path) -> None:
    app = application(load_settings(), storage)
    asked = (
        b"POST /api/memories HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 20000000\r\nExpect: 100-continue\r\n\r\n"
    )
    async with app.router.lifespan_context(app), served(app, tmp_path) as service:
        answer = await service.ask(asked)
    assert answer.startswith(b"HTTP/1.1 413")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "body_too_large"


async def test_what_is_dropped_is_bounded_in_bytes_and_in_time() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("no", status_code=413)(scope, receive, send)

    taken = 0
    scope = {"type": "http", "path": "/", "headers": [(b"transfer-encoding", b"chunked")]}
    sent: list[Any] = []

    async def endless() -> Any:
        nonlocal taken
        taken += 100
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    async def silent() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await UnreadBodyMiddleware(app, limit=1000)(scope, endless, send)
    assert taken <= 1200
    async with asyncio.timeout(5):
        await UnreadBodyMiddleware(app, seconds=0.05)(scope, silent, send)
    assert [message.get("more_body") for message in sent] == [None, True, False] * 2
    assert (b"connection", b"close") in [
        (name.lower(), value) for message in sent[:1] for name, value in message["headers"]
    ]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_mcp_sdk_s_client_gets_an_error_for_a_call_that_is_too_large_and_keeps_its_session(
    storage: BaseStorage, tmp_path: Path, mode: str
) -> None:
    app = application(load_settings(), storage)
    async with app.router.lifespan_context(app), served(app, tmp_path) as service:
        url = f"http://127.0.0.1:{service.port}/mcp"
        async with Client(url, mode=mode, read_timeout_seconds=20) as client:
            for size in (2_000_000, 8_000_000):
                with pytest.raises(MCPError):
                    await client.call_tool("memory_store", {"content": "x" * size})
                stored = await client.call_tool("memory_store", {"content": f"after {size}"})
                assert not stored.is_error
            assert (await client.call_tool("memory_list", {})).structured_content["total"] == 2
