"""HTTP/1.1 to an owner's local socket, on the standard library alone: `memory mcp` must start in a blink.

Only what this service itself answers with: Content-Length, chunked, and event streams.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mcp_memory.domain.errors import StorageError
from mcp_memory.system.peers import check_peer

STOPPING = "stopping"
"""The error's code where an owner ended before it could finish a request (503)."""
_HEAD_LIMIT = 65_536
_NO_BODY = frozenset({204, 205, 304})


class ConnectionLostError(ConnectionError):
    """The owner's end closed or broke before the whole answer had arrived."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, wholly read. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def from_a_stopping_owner(self) -> bool:
        """Whether the owner ended before it could finish the request: the next one may do it."""
        return self.status == 503 and self.media_type == "application/json" and self.json()["error"]["code"] == STOPPING

    def events(self) -> list[bytes]:
        """The data of each event of a text/event-stream body."""
        events = []
        for block in self.body.replace(b"\r\n", b"\n").split(b"\n\n"):
            data = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
            if data:
                events.append(b"\n".join(data))
        return events


class Connection:
    """One connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.reusable = True

    @classmethod
    async def open(cls, address: str) -> Connection:
        """Connect to `unix:/path` or `tcp:host:port`. Raises ConnectionLostError where nobody listens, StorageError where another
        user does."""
        scheme, _, rest = address.partition(":")
        try:
            if scheme == "unix" and sys.platform != "win32":
                reader, writer = await asyncio.open_unix_connection(rest, limit=_HEAD_LIMIT)
            elif scheme == "tcp":
                host, _, port = rest.rpartition(":")
                reader, writer = await asyncio.open_connection(host, int(port), limit=_HEAD_LIMIT)
            else:
                raise ConnectionLostError(f"{address!r} is not an address that this platform can connect to")
        except OSError as error:
            raise ConnectionLostError(f"nobody answers at {address}: {error}") from error
        if scheme == "unix":
            try:
                check_peer(writer.get_extra_info("socket"), rest)
            except StorageError:
                writer.transport.abort()
                raise
        return cls(reader, writer)

    @property
    def usable(self) -> bool:
        """False once the other end has closed, which an idle connection learns by itself."""
        return self.reusable and not self._reader.at_eof() and not self._writer.is_closing()

    async def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send a request and read its answer. Raises ConnectionLostError."""
        finished = False
        try:
            lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            # Not drained first: a body that is too large is refused before it has been read.
            response = await self._read(method)
            finished = True
            return response
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise ConnectionLostError(f"the owner closed the connection: {error}") from error
        finally:
            if not finished:  # cancelled too: a half-read answer must not be taken for the next one's
                self.close()

    async def _read(self, method: str) -> Response:
        while True:
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            version, _, rest = first.partition(" ")
            if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
                raise ConnectionLostError(f"not an HTTP answer: {first[:80]!r}")
            status = int(rest[:3])
            if status >= 200:
                break
        headers = {
            name.strip().lower(): value.strip()
            for name, colon, value in (line.partition(":") for line in lines)
            if colon
        }
        if headers.get("connection", "").lower() == "close" or version == "HTTP/1.0":
            self.reusable = False
        if method == "HEAD" or status in _NO_BODY:
            body = b""
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = b"".join([chunk async for chunk in self._chunks()])
        elif "content-length" in headers:
            body = await self._reader.readexactly(int(headers["content-length"]))
        else:
            self.reusable = False
            body = await self._reader.read()
        return Response(status, headers, body)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            yield await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass  # trailers

    def close(self) -> None:
        self.reusable = False
        self._writer.close()

    async def wait_closed(self) -> None:
        await self._writer.wait_closed()


class ConnectionPool:
    """Connections to one address: as many as there are requests at a time, at most `limit`, kept open in between."""

    def __init__(self, address: str, *, headers: Mapping[str, str] | None = None, limit: int = 32) -> None:
        self.address = address
        self._headers = dict(headers or {})
        self._idle: list[Connection] = []
        self._slots = asyncio.Semaphore(limit)

    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Response:
        """Raises ConnectionLostError, after which the request may or may not have been carried out."""
        async with self._slots:
            connection = await self._take()
            response = await connection.request(method, target, self._headers | dict(headers or {}), body)
            if connection.usable:
                self._idle.append(connection)
            else:
                connection.close()
            return response

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        return await Connection.open(self.address)

    async def close(self) -> None:
        """Close idle connections; those at work close when their request ends."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        for connection in idle:
            with suppress(OSError):
                await connection.wait_closed()
