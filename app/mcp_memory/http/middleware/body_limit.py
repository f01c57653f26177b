"""Reads request bodies of a bounded size in a bounded time, before anything else looks at them."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_memory.http.dependencies import came_over_unix_socket
from mcp_memory.http.errors import problem

BODY_SECONDS = 30.0
IMPORT_LIMIT = 64 * 1024 * 1024
"""For `memory import`, over the local socket: it keeps what others stored, also texts longer than this service takes."""


class BodyTooLargeError(Exception):
    """The body is longer than the limit."""


class BodyLimitMiddleware:
    """413 for a body over `limit` bytes, chunked or not; 408 for one that takes longer than `seconds` to arrive."""

    def __init__(self, app: ASGIApp, *, limit: int, seconds: float = BODY_SECONDS) -> None:
        self.app = app
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self.app(scope, receive, send)
            return
        try:
            limit = (
                IMPORT_LIMIT if scope["path"] == "/internal/import" and came_over_unix_socket(scope) else self._limit
            )
            if _declared_length(scope) > limit:
                raise BodyTooLargeError
            async with asyncio.timeout(self._seconds):
                body = await self._read(receive, limit)
        except BodyTooLargeError:
            message = f"The body is larger than {self._limit} bytes (MCP_HTTP_MAX_BODY_BYTES)."
            await problem(413, "body_too_large", message, headers={"Connection": "close"})(scope, receive, send)
            return
        except TimeoutError:
            message = f"The body did not arrive within {self._seconds:g} seconds."
            await problem(408, "request_timeout", message, headers={"Connection": "close"})(scope, receive, send)
            return
        if body is None:
            return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)

    async def _read(self, receive: Receive, limit: int) -> bytes | None:
        """The whole body; None where the client went away."""
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise BodyTooLargeError
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)


def _has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])


def _declared_length(scope: Scope) -> int:
    return next((int(value) for name, value in scope["headers"] if name == b"content-length" and value.isdigit()), 0)
