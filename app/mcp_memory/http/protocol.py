"""HTTP/1.1 on a connection, with limits that hold before any key is asked.

uvicorn bounds neither the head of a request nor the time that it takes to arrive, nor the connections.
"""

from __future__ import annotations

import asyncio
import functools
import json
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from mcp_memory.http.descriptors import ConnectionLimits
from mcp_memory.http.doors import Door, Waiting
from mcp_memory.http.tls import Certificate, TlsDoor
from mcp_memory.http.unread import BoundedReading

LINE_BYTES = 8192
HEAD_BYTES = 65_536
FIELDS = 100
HEAD_SECONDS = 30.0
"""From the first byte of a head, or from a connection's first moment, to the end of the head."""
WRITE_SECONDS = 60.0
"""A client that takes nothing of its answer for so long has gone."""
PIPELINED = 32
"""Requests that a client may send before it has read an answer. The reading stops after one; this many fit in a packet."""
LINGER_SECONDS = 2.0
LINGER_BYTES = 8 * 1024 * 1024
"""How much of what a refused client still sends is read and dropped, so that it gets to see the answer."""

_LINE_EXTRA = len("  HTTP/1.1")
_UNIX = getattr(socket, "AF_UNIX", None)
_REASONS = {431: "Request Header Fields Too Large"}


class _RefusedError(Exception):
    """Ends the parsing."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds.

    A request line over 8 KiB is answered with 414, a head over 64 KiB or 100 fields with 431, one that takes longer than 30 s
    with 408. A client that trickles bytes gains no time by it. Trailers are dropped, and count as fields.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        tcp: Door,
        unix: Door,
        head_seconds: float = HEAD_SECONDS,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._application, self.app = self.app, self._counting
        self.tcp = tcp
        self.unix = unix
        self.socket_transport: asyncio.Transport | None = None
        """Set where TLS lies between: what is read from."""
        self._door = tcp
        self._reading: BoundedReading | None = None
        self._head_seconds = head_seconds
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._refusal: tuple[int, str, str] | None = None
        self._ended = False
        self._dropped = 0
        # Of the message that arrives:
        self._begun = False
        self._head_read = False
        self._fields = 0
        self._head_size = 0
        self._without_progress = 0
        self._progress = False

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        sock = transport.get_extra_info("socket")
        self._door = self.unix if sock is not None and sock.family == _UNIX else self.tcp
        if not self._door.enter(self):
            self.transport = transport
            self._answer(503, "overloaded", "Too many connections at a time: try again in a moment.")
            transport.close()
            return
        super().connection_made(transport)
        self.flow = self._reading = BoundedReading(self.socket_transport or transport, self._door.unread)
        self.loop.call_soon(self._reading.apply)  # uvloop turns the reading on after this method
        self._arm_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.left(self)
        self._disarm_head_timer()
        self.resume_writing()
        if self._reading is not None:  # None: it was never let in
            super().connection_lost(exc)
            self._reading.left()
            self._reading = None

    def leave(self) -> None:
        """Close at once: the place is needed."""
        self.connections.discard(self)
        self.transport.abort()

    def cut_off(self) -> None:
        """The service ends: an answer that has begun stays without its end, which tells that it is incomplete."""
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.transport.abort()

    # What arrives

    def data_received(self, data: bytes) -> None:
        if self._ended:
            self._dropped += len(data)
            if self._dropped > LINGER_BYTES:
                self.transport.abort()
            return
        self._progress = False
        super().data_received(data)
        if self._ended or self.transport.is_closing():
            return
        # Counted in packets: a head that begins behind another message's end counts from the next packet on.
        self._without_progress = 0 if self._progress else self._without_progress + len(data)
        if self._without_progress > HEAD_BYTES:
            self._refuse_size()
            self.send_400_response("")
            return
        if self._awaits_head():
            self._arm_head_timer()

    def _awaits_head(self) -> bool:
        """Whether a head is due: one has begun, or nothing is in work (which may take longer than a head may)."""
        in_work = self.cycle is not None and not self.cycle.response_complete
        return not self._head_read and (self._begun or not in_work)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun, self._head_read = True, False
        self._fields = self._head_size = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) + len(self.parser.get_method()) + _LINE_EXTRA > LINE_BYTES:
            self._refusal = 414, "uri_too_long", f"The request line is longer than {LINE_BYTES} bytes."
            raise _RefusedError

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._head_size += len(name) + len(value) + 4
        if self._fields > FIELDS or self._head_size + len(self.url) > HEAD_BYTES:
            self._refuse_size()
            raise _RefusedError
        if not self._head_read:  # else a trailer, which must not pass for a header
            super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        self._head_read = self._progress = True
        self._disarm_head_timer()
        if len(self.pipeline) >= PIPELINED:
            self._refusal = 400, "bad_request", f"More than {PIPELINED} requests at a time on one connection."
            raise _RefusedError
        super().on_headers_complete()
        if self.cycle is not None:
            self._door.waits(self, Waiting.BODY)

    def on_body(self, body: bytes) -> None:
        self._progress = True
        super().on_body(body)
        # Not of a request behind another: nobody asks for it until that one is done, and no more than one packet comes.
        if not self.pipeline and not self.cycle.response_complete:
            self._holds(len(self.cycle.body))

    def on_message_complete(self) -> None:
        self._progress = True
        self._begun = False
        self._head_read = False
        self._door.works(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if not self.pipeline:
            self.cycle.body.clear()
        self._holds(0)
        self.flow.resume_reading()  # also of one that closes: TLS waits for the other side's goodbye
        super().on_response_complete()
        if not self.pipeline and not self.transport.is_closing():
            self._door.waits(self, Waiting.BODY if self._begun else Waiting.NEXT)

    def _holds(self, size: int) -> None:
        if self._reading is not None:
            self._reading.holds(size)

    async def _counting(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application; what it has taken is held here no more."""

        async def receiving() -> Message:
            message = await receive()
            self._holds(0)
            return message

        await self._application(scope, receiving, send)

    # What is refused

    def _refuse_size(self) -> None:
        self._refusal = 431, "headers_too_large", f"The headers are over {HEAD_BYTES} bytes or {FIELDS} fields."

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (uvicorn's signature)
        """uvicorn's way to answer what is no request: in JSON, and so that the client gets to see it."""
        unanswered = self.cycle is not None and not self.cycle.response_complete
        if unanswered and (self.cycle.response_started or not self.cycle.more_body):
            # The answer before goes out first, and is the last.
            self._ended = True
            self.cycle.keep_alive = False
            self._disarm_head_timer()
            return
        self._answer(*(self._refusal or (400, "bad_request", "This is not an HTTP/1.1 request that can be read.")))
        self._linger()

    def _answer(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"detail": message, "error": {"code": code, "message": message}}).encode()
        reason = _REASONS.get(status) or HTTPStatus(status).phrase
        head = [
            f"HTTP/1.1 {status} {reason}",
            "content-type: application/json; charset=utf-8",
            f"content-length: {len(body)}",
        ]
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            head.append("retry-after: 1")
        self.transport.write("\r\n".join([*head, "connection: close", "", ""]).encode() + body)

    def _linger(self) -> None:
        """Read on for a moment: a connection that is closed over unread bytes is reset, and its answer lost."""
        self._ended = True
        self._disarm_head_timer()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.cycle.body.clear()
            self._holds(0)
        self._door.waits(self, Waiting.HEAD)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._head_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    # Time

    def _arm_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._head_seconds, self._head_is_late)

    def _disarm_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self._begun:
            self.transport.close()
            return
        self._refusal = 408, "request_timeout", f"The headers did not arrive within {self._head_seconds:g} seconds."
        self.send_400_response("")

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        if self.flow is not None:
            super().resume_writing()


def bounded_protocol(limits: ConnectionLimits, tls: Certificate | None = None) -> Callable[..., asyncio.Protocol]:
    """What uvicorn makes a connection's protocol with. TLS is for connections over TCP alone."""
    make = functools.partial(BoundedProtocol, tcp=Door(limits.tcp), unix=Door(limits.unix))
    return make if tls is None else functools.partial(TlsDoor, make=make, tls=tls)
