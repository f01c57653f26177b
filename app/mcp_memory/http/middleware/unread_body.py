"""Answers that don't wait for the request's body: the rest of it is read and dropped, so that the client sees the answer."""

from __future__ import annotations

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DROP_BYTES = 64 * 1024 * 1024
DROP_SECONDS = 30.0


class UnreadBodyMiddleware:
    """Many clients send the whole body before they look for an answer, and see a broken pipe where a server closes early.

    The answer (413, 401, ...) goes out at once; then up to 64 MiB are dropped for at most 30 s; then the connection is closed.
    """

    def __init__(self, app: ASGIApp, *, limit: int = DROP_BYTES, seconds: float = DROP_SECONDS) -> None:
        self.app = app
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not has_body(scope):
            await self.app(scope, receive, send)
            return
        read_all = asked = False

        async def receiving() -> Message:
            nonlocal read_all, asked
            asked = True
            message = await receive()
            read_all = message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        async def sending(message: Message) -> None:
            if read_all:
                await send(message)
                return
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            # Who asks first (Expect: 100-continue) sends no body once it has an answer.
            if not last or (not asked and _asks_first(scope)):
                await send(message)
                return
            await send({**message, "more_body": True})
            await self._drop(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self.app(scope, receiving, sending)

    async def _drop(self, receive: Receive) -> None:
        dropped = 0
        try:
            async with asyncio.timeout(self._seconds):
                while dropped <= self._limit:
                    message = await receive()
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return
                    dropped += len(message.get("body", b""))
        except TimeoutError:
            return


def has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])


def _asks_first(scope: Scope) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"])
