"""The answer to requests that are still in work when the time to finish them is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_memory.http.errors import problem
from mcp_memory.loggers import structlog
from mcp_memory.owner.connection import STOPPING

log = structlog.stdlib.get_logger("mcp_memory.http")


class StoppingAnswers:
    """A request that the end of the service cancels gets 503 with Retry-After. What it has stored so far stays stored."""

    def __init__(self, app: ASGIApp, *, stopping: Callable[[], bool]) -> None:
        self.app = app
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except asyncio.CancelledError:
            if scope["type"] != "http" or not self._stopping():
                raise
            log.warning("request not finished: the service is stopping", method=scope["method"], path=scope["path"])
            if not started:
                message = "The service is stopping and could not finish this request: send it again."
                answer = problem(503, STOPPING, message, headers={"Retry-After": "1", "Connection": "close"})
                await answer(scope, receive, send)
