"""What a stranger may cost before any key is asked: bounded heads, bounded time, bounded connections, on both sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from served import LIMITS, served
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from mcp_memory.http.descriptors import ConnectionLimits

pytestmark = pytest.mark.anyio
DOORS = ["tcp", "unix"]
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The headers that arrived, and how long the body was."""
    request = Request(scope, receive)
    body = await request.body()
    fields = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    await PlainTextResponse(json.dumps({"fields": fields, "body": len(body)}))(scope, receive, send)


def request(*fields: str, target: str = "/", end: str = "Connection: close\r\n\r\n") -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: localhost", *fields, end]).encode()


def status(answer: bytes) -> int:
    return int(answer[9:12] or 0)


HEADS = [
    (request(target="/" + "a" * (8192 - 15)), 200),
    (request(target="/" + "a" * (8192 - 13)), 414),
    (b"GET /" + b"a" * 2_000_000, 414),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000, 431),
    (request("X: " + "a" * 60_000), 200),
    (request("X: " + "a" * 65_600), 431),
    (request(*[f"X-{number}: a" for number in range(98)]), 200),
    (request(*[f"X-{number}: a" for number in range(99)]), 431),
    (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1_000_000, 431),
    (b"GET / HTTP/1.1\r\n" + b"a" * 2_000_000, 431),
    (b"\r\n" * 1_000_000, 431),
    (b"a" * 100, 400),
    (CHUNKED + b"1\r\na\r\n0\r\n" + b"a: b\r\n" * 200, 431),
    (CHUNKED + b"1\r\na\r\n0\r\na:" + b"b" * 2_000_000, 431),
    (CHUNKED + b"1;" + b"b" * 2_000_000, 431),
]


@pytest.mark.parametrize("door", DOORS)
async def test_a_head_that_is_too_long_is_refused_in_words(door: str, tmp_path: Path) -> None:
    async with served(echo, tmp_path) as service:
        for asked, expected in HEADS:
            answer = await service.ask(asked, door)
            assert status(answer) == expected, (asked[:60], answer[:300])
            head, _, body = answer.partition(b"\r\n\r\n")
            assert b"connection: close" in head
            if expected != 200:
                assert json.loads(body)["error"]["code"] in {"uri_too_long", "headers_too_large", "bad_request"}


async def test_an_endless_head_costs_no_memory_and_holds_up_nobody(tmp_path: Path) -> None:
    async with served(echo, tmp_path) as service:
        _, writer = await service.connect()
        writer.write(b"GET / HTTP/1.1\r\n")
        sent = 0
        with suppress(ConnectionError):
            while sent < 100_000_000:
                writer.write(b"a: b\r\n" * 10_000)
                sent += 60_000
                await writer.drain()
        assert sent < 40_000_000  # what is dropped so that the answer arrives, and the buffers of the kernel
        writer.close()
        assert status(await service.ask(request())) == 200


@pytest.mark.parametrize("door", DOORS)
async def test_a_trickle_gains_no_time(door: str, tmp_path: Path) -> None:
    async with served(echo, tmp_path, head_seconds=0.3) as service:
        for first, trickle in [(b"", b""), (b"", b"\r\n"), (b"GET / HTTP/1.1\r\n", b"a: b\r\n"), (b"GET /", b"a")]:
            reader, writer = await service.connect(door)
            writer.write(first)
            started = asyncio.get_running_loop().time()
            answer = asyncio.create_task(reader.read())
            while not answer.done() and not writer.is_closing():
                writer.write(trickle)
                await asyncio.wait([answer], timeout=0.05)
            assert asyncio.get_running_loop().time() - started < 3
            assert status(await answer) == (408 if first else 0)
            writer.close()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("asked", [request(), b"POST / HTTP/1.1\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"])
async def test_a_request_may_be_in_work_for_longer_than_a_head_may_take(
    asked: bytes, door: str, tmp_path: Path
) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1)
        await echo(scope, receive, send)

    async with served(slow, tmp_path, head_seconds=0.3) as service:
        assert status(await service.ask(asked, door)) == 200
        reader, writer = await service.connect(door)
        writer.write(asked.replace(b"Connection: close\r\n", b"") + b"GET / HTTP/1.1\r\n")  # and half of another
        assert status(await reader.read()) == 200
        writer.close()


async def test_after_an_answer_a_trickle_does_not_keep_the_connection(tmp_path: Path) -> None:
    async with served(echo, tmp_path, head_seconds=0.3) as service:
        reader, writer = await service.connect()
        writer.write(request(end="\r\n"))
        assert await reader.readuntil(b"\r\n\r\n")
        answer = asyncio.create_task(reader.read())
        async with asyncio.timeout(3):
            while not answer.done():
                writer.write(b"\r\n")
                await asyncio.wait([answer], timeout=0.05)
        writer.close()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"])
async def test_who_waits_longest_makes_room_for_who_comes(begun: bytes, door: str, tmp_path: Path) -> None:
    async with served(echo, tmp_path) as service:
        held = []
        for _ in range(3 * LIMITS.tcp):
            reader, writer = await service.connect(door)
            writer.write(begun)
            held.append((reader, writer))
            await asyncio.sleep(0)
        assert status(await service.ask(request(), door)) == 200
        assert service.server.connections <= LIMITS.tcp + 1
        assert await held[0][0].read() == b""  # the first one was sent away
        for _, writer in held:
            writer.close()


async def test_a_flood_on_one_socket_does_not_reach_the_other(tmp_path: Path) -> None:
    async with served(echo, tmp_path) as service:
        reader, writer = await service.connect("unix")
        writer.write(request(end="\r\n"))
        await reader.readuntil(b"\r\n\r\n")
        held = [await service.connect() for _ in range(3 * LIMITS.tcp)]
        assert status(await service.ask(request())) == 200
        assert not reader.at_eof()
        for _, other in [*held, (reader, writer)]:
            other.close()


async def test_a_request_in_work_is_never_ended_for_another(tmp_path: Path) -> None:
    go = asyncio.Event()
    arrived = asyncio.Semaphore(0)

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        arrived.release()
        await go.wait()
        await PlainTextResponse("done")(scope, receive, send)

    async with served(waits, tmp_path, limits=ConnectionLimits(2, 2, 8)) as service:
        working = [asyncio.create_task(service.ask(request())) for _ in range(2)]
        for _ in working:
            await arrived.acquire()
        refused = await service.ask(request())
        assert status(refused) == 503
        assert b"retry-after: 1" in refused
        go.set()
        assert [status(await answer) for answer in working] == [200, 200]


async def test_field_values_arrive_without_the_blanks_around_them_and_trailers_are_no_headers(tmp_path: Path) -> None:
    chunked = (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nmcp-protocol-version: 2025-06-18 \t \r\nConnection: close\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Api-Key: secret\r\n\r\n"
    )
    async with served(echo, tmp_path) as service:
        answer = json.loads((await service.ask(chunked)).partition(b"\r\n\r\n")[2])
    assert answer["body"] == 1
    assert answer["fields"]["mcp-protocol-version"] == "2025-06-18"
    assert "x-api-key" not in answer["fields"]


async def test_a_client_that_reads_nothing_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_memory.http.protocol.WRITE_SECONDS", 0.3)
    ended = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        ended.set()

    async with served(endless, tmp_path) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as sock:
            sock.sendall(request())
            async with asyncio.timeout(5):
                await ended.wait()  # what is sent to nobody is dropped at once


@pytest.mark.parametrize(("wanted", "descriptors"), [(4096, 1024), (4096, 256), (4096, 64), (16, 65_536), (4096, None)])
def test_connections_fit_into_the_descriptors_with_room_for_everything_else(
    wanted: int, descriptors: int | None
) -> None:
    limits = ConnectionLimits.within(wanted, descriptors)
    assert 1 <= limits.tcp <= wanted
    assert limits.unix >= 1
    assert limits.backlog >= 1
    if descriptors is not None:
        most = limits.tcp + limits.unix + 2 * limits.backlog
        assert most <= descriptors - min(256, descriptors // 2) + 4
