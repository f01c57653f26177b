"""One connection of a client to the engine: many requests under way at a time, matched by number."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import msgspec

from mcp_memory.domain.errors import StorageError
from mcp_memory.storage.qdrant_embedded.address import Address
from mcp_memory.storage.qdrant_embedded.protocol import HEADER, Request, Response, frame, response_decoder
from mcp_memory.system.peers import check_peer

BUFFER = 1024 * 1024


class ConnectionLostError(Exception):
    """The engine is gone; whether it executed what was under way isn't known."""


class Wire:
    """An open connection. Belongs to one event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Response]] = {}
        self._lost = False
        self._heard = time.monotonic()
        self._listener = asyncio.create_task(self._listen(), name="engine-answers")

    @classmethod
    async def open(cls, address: Address) -> Wire:
        """Raises OSError where nobody listens, StorageError where another user does."""
        if address.socket is not None:
            reader, writer = await asyncio.open_unix_connection(address.socket, limit=BUFFER)
            try:
                check_peer(writer.get_extra_info("socket"), address.socket)
            except StorageError:
                writer.transport.abort()
                raise
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", address.port, limit=BUFFER)
        return cls(reader, writer)

    @property
    def lost(self) -> bool:
        return self._lost

    @property
    def silent_seconds(self) -> float:
        """How long answers have been waited for without one arriving; 0 where none is waited for."""
        return time.monotonic() - self._heard if self._waiting else 0.0

    async def ask(self, request: Request, seconds: float) -> Response:
        """The engine's answer. Raises ConnectionLostError, and TimeoutError after that many seconds."""
        if (
            self._lost or self._writer.transport.is_closing()
        ):  # uvloop closes a broken one before the listener has heard
            raise ConnectionLostError
        if not self._waiting:
            self._heard = time.monotonic()
        self._number += 1
        number = self._number
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._writer.write(frame(number, request))
            async with asyncio.timeout(seconds):
                await self._writer.drain()
                return await answer
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise ConnectionLostError from error
        finally:
            self._waiting.pop(number, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen: drain may have raised before it was awaited

    async def _listen(self) -> None:
        try:
            while True:
                length, number = HEADER.unpack(await self._reader.readexactly(HEADER.size))
                response = response_decoder.decode(await self._reader.readexactly(length))
                self._heard = time.monotonic()
                waiting = self._waiting.get(number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(response)
        except (asyncio.IncompleteReadError, OSError, msgspec.MsgspecError):
            pass  # the end of the connection, told to each waiting request below
        finally:
            self._lost = True
            self._writer.close()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionLostError())

    async def ended(self) -> None:
        """Returns when the engine has closed the connection."""
        await asyncio.wait([self._listener])

    async def close(self) -> None:
        self._listener.cancel()
        await asyncio.wait([self._listener])
        with suppress(OSError):
            await self._writer.wait_closed()
