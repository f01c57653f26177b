"""A load generator that costs next to nothing: keep-alive connections, requests written as bytes, answers left unparsed.

It shares the machine with the service it measures: httpx takes about a millisecond of CPU a request, this a tenth of it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        body = b"" if self.body is None else json.dumps(self.body).encode()
        headers = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = (
            f"{self.method} {self.path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        )
        return head.encode("ascii") + body


def search(query: str, *, mode: str = "hybrid", limit: int = 10, **options: object) -> Request:
    return Request("POST", "/api/search", {"query": query, "mode": mode, "n_results": limit, **options})


class Connection:
    """One keep-alive connection. Raises RuntimeError for an answer that isn't 2xx unless it is among those expected."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, request: bytes, *, expected: frozenset[int] = frozenset({200})) -> bytes:
        """The answer's body."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        position = head.lower().index(b"content-length:") + 15
        body = await self._reader.readexactly(int(head[position : head.index(b"\r", position)]))
        if status not in expected:
            raise RuntimeError(f"{request[:80]!r}: {status} {body[:300]!r}")
        return body

    async def ask(self, request: Request, *, expected: frozenset[int] = frozenset({200})) -> Any:
        return json.loads(await self.send(request.encode(), expected=expected))


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=16 * 1024 * 1024)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


@dataclass(frozen=True)
class Latencies:
    """Milliseconds, sorted."""

    values: list[float]

    def percentile(self, percent: float) -> float:
        return self.values[min(len(self.values) - 1, int(len(self.values) * percent / 100))]

    def __str__(self) -> str:
        return f"{self.percentile(50):.1f} ms p50, {self.percentile(99):.1f} ms p99"


async def one_by_one(port: int, requests: Iterable[Request]) -> Latencies:
    """Each request when the one before is answered."""
    values = []
    async with connected(port) as connection:
        for request in requests:
            encoded = request.encode()
            started = time.perf_counter()
            await connection.send(encoded)
            values.append(1000 * (time.perf_counter() - started))
    return Latencies(sorted(values))


async def meanwhile(port: int, request: Request, work: Awaitable[T], *, skip: float = 0.0) -> tuple[T, Latencies]:
    """What `work` gives, and how long this request took while it was done, sent again every 5 ms.

    `skip`: seconds until the first; a command's own start takes the cores that the service is measured on.
    """
    values = []
    encoded = request.encode()
    working = asyncio.ensure_future(work)
    await asyncio.sleep(skip)
    async with connected(port) as connection:
        while not working.done():
            started = time.perf_counter()
            await connection.send(encoded, expected=frozenset({200, 404}))
            values.append(1000 * (time.perf_counter() - started))
            await asyncio.sleep(0.005)
    return await working, Latencies(sorted(values))


async def rate(
    port: int, *, clients: int, seconds: float, request: Callable[[int], Request]
) -> tuple[float, Latencies]:
    """Requests answered a second with so many clients, each waiting for its answer; `request(n)` is the nth of all."""
    values: list[float] = []
    numbers = iter(range(10_000_000))
    deadline = time.perf_counter() + seconds

    async def client() -> None:
        async with connected(port) as connection:
            while time.perf_counter() < deadline:
                encoded = request(next(numbers)).encode()
                started = time.perf_counter()
                await connection.send(encoded)
                values.append(1000 * (time.perf_counter() - started))

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return len(values) / (time.perf_counter() - started), Latencies(sorted(values))
