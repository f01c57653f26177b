"""A small HTTP proxy of ours between a client and a server, that fails the requests it is told to fail.

It runs in the test's own event loop. Faults strike before the server has seen the request, or after it has answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx


@dataclass(frozen=True)
class Fault:
    """What happens to a request. Without any field it passes."""

    reset_before: bool = False
    """Reset the connection; the server never sees the request."""
    reset_after: bool = False
    """Reset the connection once the server has answered: it has done what was asked, and the client can't know."""
    hang: bool = False
    """Take the request and never answer."""
    delay: float = 0.0
    """Seconds before the answer."""
    status: int | None = None
    body: bytes = b'{"status":{"error":"Service internal error: made by the test"}}'
    """An answer of the proxy's own with this status."""
    rewrite: Callable[[bytes], bytes] | None = None
    """Change the server's answer."""


PASS = Fault()


@dataclass
class FaultProxy:
    """`decide(number, method, path)` names the fault of each request; numbers begin at 1."""

    target: str
    decide: Callable[[int, str, str], Fault] = field(default=lambda _number, _method, _path: PASS)
    requests: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def restart_counting(self, decide: Callable[[int, str, str], Fault] | None = None) -> None:
        self.requests = 0
        self.decide = decide or (lambda _number, _method, _path: PASS)

    async def serve(
        self, upstream: httpx.AsyncClient, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One client connection, until it ends or a fault ends it."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                request_line, *lines = head.split("\r\n")
                method, path, _ = request_line.split(" ", 2)
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests += 1
                kept = {name: value for name, value in headers.items() if name in {"api-key", "content-type"}}
                request = upstream.build_request(method, self.target + path, headers=kept, content=body)
                if not await self._answer(self.decide(self.requests, method, path), request, upstream, writer):
                    break
        writer.close()

    async def _answer(
        self, fault: Fault, request: httpx.Request, upstream: httpx.AsyncClient, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection goes on."""
        if fault.hang:
            await asyncio.Event().wait()
        if fault.reset_before:
            _reset(writer)
            return False
        if fault.status is not None:
            await _send(writer, fault.status, fault.body)
            return True
        if fault.delay:
            await asyncio.sleep(fault.delay)
        answer = await upstream.send(request)
        if fault.reset_after:
            _reset(writer)
            return False
        await _send(writer, answer.status_code, fault.rewrite(answer.content) if fault.rewrite else answer.content)
        return True


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST, not FIN: what a crashed peer or a cut cable looks like."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    head = f"HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


@asynccontextmanager
async def fault_proxy(target: str) -> AsyncIterator[FaultProxy]:
    """A proxy on a free loopback port; ends with all its connections."""
    proxy = FaultProxy(target)
    tasks: set[asyncio.Task[None]] = set()
    async with httpx.AsyncClient(timeout=30.0) as upstream:

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(proxy.serve(upstream, reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=64 * 1024 * 1024)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
