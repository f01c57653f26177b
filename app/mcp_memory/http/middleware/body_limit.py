"""Reads request bodies of a bounded size in a bounded time, before a place to work is taken for them."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_memory.http.dependencies import came_over_unix_socket
from mcp_memory.http.errors import problem
from mcp_memory.http.middleware.unread_body import has_body

BODY_SECONDS = 30.0
IMPORT_LIMIT = 64 * 1024 * 1024
"""For `memory import`, over the local socket: it keeps what others stored, also texts longer than this service takes."""
BUDGET = 64 * 1024 * 1024
"""Bytes of all bodies that have arrived for requests which aren't in work yet. Over the local socket it is twice an import."""


class BodyTooLargeError(Exception):
    """The body is longer than the limit."""


class NoRoomError(Exception):
    """The bodies that are waiting are over the budget, and this one is to go."""


class _Body:
    """A body that arrives, or waits for its request's turn."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self.deadline: asyncio.Timeout | None = None
        self.sent_away = False


class Waiting:
    """All bodies that wait, on one socket. Over the budget the one that arrives for longest goes, else the newest."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._size = 0
        self._arriving: dict[_Body, None] = {}

    def begin(self, body: _Body) -> None:
        self._arriving[body] = None

    def add(self, body: _Body, chunk: bytes) -> None:
        """Raises NoRoomError where this one is to go."""
        if body.sent_away:
            raise NoRoomError
        body.chunks.append(chunk)
        body.size += len(chunk)
        self._size += len(chunk)
        while self._size > self._budget:
            oldest = next(iter(self._arriving))
            self.leave(oldest)
            oldest.sent_away = True
            if oldest is body:
                raise NoRoomError
            if oldest.deadline is not None:
                oldest.deadline.reschedule(asyncio.get_running_loop().time())

    def arrived(self, body: _Body) -> None:
        self._arriving.pop(body, None)

    def leave(self, body: _Body) -> None:
        """Counted no more: its request is in work, or over."""
        self._arriving.pop(body, None)
        self._size -= body.size
        body.size = 0
        body.chunks.clear()


class BodyLimitMiddleware:
    """413 for a body over `limit` bytes, chunked or not; 408 for one that takes longer than `seconds` to arrive.

    Stands before admission: a body that doesn't arrive takes nobody's place. What waits is bounded all together; a client
    that has sent much and doesn't finish is answered with 503 for the sake of the others.
    """

    def __init__(self, app: ASGIApp, *, limit: int, seconds: float = BODY_SECONDS, budget: int = BUDGET) -> None:
        self.app = app
        self._limit = limit
        self._seconds = seconds
        self._over_tcp = Waiting(max(budget, 4 * limit))
        self._over_unix = Waiting(2 * IMPORT_LIMIT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not has_body(scope):
            await self.app(scope, receive, send)
            return
        local = came_over_unix_socket(scope)
        limit = IMPORT_LIMIT if local and scope["path"] == "/internal/import" else self._limit
        waiting = self._over_unix if local else self._over_tcp
        body = _Body()
        try:
            try:
                whole = await self._read(scope, receive, body, waiting, limit)
            except BodyTooLargeError:
                message = f"The body is larger than {limit} bytes (MCP_HTTP_MAX_BODY_BYTES)."
                await problem(413, "body_too_large", message)(scope, receive, send)
                return
            except NoRoomError:
                message = "Too many large bodies at a time, and this one arrives slowly: try again in a moment."
                headers = {"Retry-After": "1", "Connection": "close"}
                await problem(503, "overloaded", message, headers=headers)(scope, receive, send)
                return
            except TimeoutError:
                message = f"The body did not arrive within {self._seconds:g} seconds."
                await problem(408, "request_timeout", message, headers={"Connection": "close"})(scope, receive, send)
                return
            if whole:
                await self.app(scope, _replay(body, waiting, receive), send)
        finally:
            waiting.leave(body)

    async def _read(self, scope: Scope, receive: Receive, body: _Body, waiting: Waiting, limit: int) -> bool:
        """Whether the whole body came; False where the client went away."""
        if _declared_length(scope) > limit:
            raise BodyTooLargeError
        waiting.begin(body)
        try:
            async with asyncio.timeout(self._seconds) as body.deadline:
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return False
                    chunk = message.get("body", b"")
                    if body.size + len(chunk) > limit:
                        raise BodyTooLargeError
                    waiting.add(body, chunk)
                    if not message.get("more_body", False):
                        waiting.arrived(body)
                        return True
        except TimeoutError:
            if body.sent_away:
                raise NoRoomError from None
            raise


def _replay(body: _Body, waiting: Waiting, receive: Receive) -> Receive:
    """The body in one message to whoever asks first: from then on its request is in work."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        whole = b"".join(body.chunks)
        waiting.leave(body)
        return {"type": "http.request", "body": whole, "more_body": False}

    return replay


def _declared_length(scope: Scope) -> int:
    return next((int(value) for name, value in scope["headers"] if name == b"content-length" and value.isdigit()), 0)
