"""Overload and oversize are refused before they cost memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from small_application import Connect
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mcp_memory.http.middleware.admission import AdmissionMiddleware
from mcp_memory.http.middleware.body_limit import BodyLimitMiddleware

pytestmark = pytest.mark.anyio


def client_of(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost")


async def test_a_body_over_the_limit_is_413(connect: Connect) -> None:
    client = await connect()
    answer = await client.post("/api/memories", content=b" " * 1_048_577, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
    assert "MCP_HTTP_MAX_BODY_BYTES" in answer.json()["error"]["message"]


async def test_a_chunked_body_over_the_limit_is_413_before_it_is_all_there() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("reached")(scope, receive, send)

    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1000
            yield b"x" * 1000

    async with client_of(BodyLimitMiddleware(app, limit=10_000)) as client:
        answer = await client.post("/api/memories", content=endless())
    assert answer.status_code == 413
    assert sent <= 12_000


async def test_a_body_of_the_limit_passes(connect: Connect) -> None:
    client = await connect(http_max_body_bytes=10_000)
    body = b'{"content": "fits"}'
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/api/memories", content=body + b" " * (10_000 - len(body)), headers=headers)
    assert answer.status_code == 200


async def test_a_body_that_never_ends_is_408() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("reached")(scope, receive, send)

    async def trickle() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    async with client_of(BodyLimitMiddleware(app, limit=100, seconds=0.05)) as client:
        assert (await client.post("/", content=trickle())).status_code == 408


class Gate:
    """An application whose requests wait until the test lets them go."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.entered = asyncio.Semaphore(0)
        self.running = self.most = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        self.entered.release()
        await self.open.wait()
        self.running -= 1
        response: Response = PlainTextResponse(Request(scope).url.path)
        await response(scope, receive, send)


async def test_requests_beyond_places_and_queue_get_503_with_retry_after() -> None:
    gate = Gate()
    async with client_of(AdmissionMiddleware(gate, limit=2)) as client, asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.get("/work")) for _ in range(15)]
        done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=5)
        while len(done) < 5:
            more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=5)
            done |= more
        assert len(done) == 5  # 2 work, 8 wait
        for task in done:
            assert task.result().status_code == 503
            assert task.result().headers["retry-after"] == "1"
            assert task.result().json()["error"]["code"] == "overloaded"
        gate.open.set()
        answers = await asyncio.gather(*waiting)
    assert [answer.status_code for answer in answers] == [200] * 10
    assert gate.most == 2


async def test_probes_are_answered_while_all_places_are_taken(connect: Connect) -> None:
    gate = Gate()
    async with client_of(AdmissionMiddleware(gate, limit=1)) as client, asyncio.TaskGroup() as group:
        busy = group.create_task(client.get("/work"))
        await gate.entered.acquire()
        probe = group.create_task(client.get("/livez"))
        await gate.entered.acquire()
        gate.open.set()
        assert (await probe).status_code == (await busy).status_code == 200


async def test_a_request_that_waits_too_long_gets_503() -> None:
    gate = Gate()
    async with client_of(AdmissionMiddleware(gate, limit=1, wait_seconds=0.05)) as client, asyncio.TaskGroup() as group:
        group.create_task(client.get("/work"))
        await gate.entered.acquire()
        assert (await client.get("/work")).status_code == 503
        gate.open.set()


async def test_a_place_is_given_back_when_a_request_fails() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    async with client_of(AdmissionMiddleware(broken, limit=1)) as client:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await client.get("/work")
