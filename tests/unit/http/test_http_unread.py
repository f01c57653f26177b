"""What many clients send before the application asks for it is held in a bounded room, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from served import LIMITS, served
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from mcp_memory.http.doors import Door
from mcp_memory.http.tls import Certificate
from mcp_memory.http.unread import Unread

CLIENTS = 40
BODY = b"x" * 700_000
PACKET = 256 * 1024
"""What one read takes at most."""
BUDGET = 2 * 1024 * 1024


POST = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\nConnection: close\r\n\r\n".encode()


class Late:
    """Asks for nothing until its gate is open, and answers with the length of what came."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun += 1
        await self.gate.wait()
        body = await Request(scope, receive).body()
        await PlainTextResponse(str(len(body)))(scope, receive, send)


def door_with_budget() -> Door:
    door = Door(LIMITS.tcp)
    door.unread = Unread(BUDGET)
    return door


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110  (nothing tells when)
        await asyncio.sleep(0.01)


async def flood(folder: Path, kind: str) -> None:
    door, app = door_with_budget(), Late()
    server_tls = client_tls = None
    if kind == "tls":
        authority = trustme.CA()
        issued, client_tls = authority.issue_cert("localhost"), ssl.create_default_context()
        issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        issued.private_key_pem.write_to_path(folder / "key.pem")
        server_tls = Certificate(folder / "cert.pem", folder / "key.pem")
        authority.configure_trust(client_tls)
    options: dict[str, Any] = {"unix" if kind == "unix" else "tcp": door}
    async with served(app, folder, tls=server_tls, **options) as service:

        async def ask() -> bytes:
            if client_tls is None:
                reader, writer = await service.connect(kind)
            else:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", service.port, ssl=client_tls, server_hostname="localhost"
                )
            try:
                writer.write(POST)
                await everyone_is_in.wait()
                writer.write(BODY)
                return await reader.read()
            finally:
                writer.close()

        everyone_is_in = asyncio.Event()
        async with asyncio.timeout(60):
            clients = [asyncio.create_task(ask()) for _ in range(CLIENTS)]
            await until(lambda: app.begun == CLIENTS)
            everyone_is_in.set()
            await until(lambda: door.unread.full)
            await asyncio.sleep(0.3)
            assert door.unread.size <= BUDGET + PACKET
            app.gate.set()
            answers = await asyncio.gather(*clients)
        assert [answer.rpartition(b"\r\n")[2] for answer in answers] == [str(len(BODY)).encode()] * CLIENTS
        assert door.unread.size == 0
        assert not door.unread.full


@pytest.mark.parametrize("kind", ["tcp", "unix", "tls"])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_what_nobody_has_asked_for_is_bounded_over_all_connections(
    kind: str, run: Callable[..., None], tmp_path: Path
) -> None:
    run(flood(tmp_path, kind))


async def answer_without_reading(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("no")(scope, receive, send)


async def clients_that_hold_on(folder: Path) -> None:
    door = door_with_budget()
    async with served(answer_without_reading, folder, tcp=door) as service:
        open_ones = []
        for _ in range(CLIENTS):
            reader, writer = await service.connect()
            writer.write(POST + BODY[:200_000])
            async with asyncio.timeout(10):
                assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            open_ones.append(writer)
        assert door.unread.size <= PACKET
        for writer in open_ones:
            writer.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_body_that_was_answered_unread_takes_nobodys_room(run: Callable[..., None], tmp_path: Path) -> None:
    run(clients_that_hold_on(tmp_path))


async def clients_that_break_off(folder: Path) -> None:
    door, app = door_with_budget(), Late()
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with served(app, folder, tcp=door) as service:
        writers = []
        async with asyncio.timeout(30):
            for number in range(CLIENTS):
                _, writer = await service.connect()
                writers.append(writer)
                rest = b"not a chunk\r\n" if number % 2 else b""
                writer.write(chunked + b"1f400\r\n" + b"x" * 128_000 + b"\r\n" + rest)
            await until(lambda: door.unread.full)
            for writer in writers:
                writer.close()
            app.gate.set()
            await until(lambda: not door.unread.size and not len(door))
            assert not door.unread.full
            assert b"200 OK" in await service.ask(POST + BODY)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_who_breaks_off_leaves_nothing_behind(run: Callable[..., None], tmp_path: Path) -> None:
    run(clients_that_break_off(tmp_path))
