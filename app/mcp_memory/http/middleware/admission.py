"""Bounds the requests in work and in waiting, so that overload costs callers a wait and never the service its memory."""

from __future__ import annotations

import asyncio

from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_memory.http.errors import problem

EXEMPT = frozenset({"/livez", "/readyz", "/metrics", "/api/health"})
QUEUE_FACTOR = 4
"""Places to wait for each place to work."""
WAIT_SECONDS = 30.0


class AdmissionMiddleware:
    """`limit` requests at a time, four times as many waiting at most 30 s; others get 503 with Retry-After at once.

    Bodies have been read before, so that one which doesn't arrive takes no place.
    """

    def __init__(self, app: ASGIApp, *, limit: int, wait_seconds: float = WAIT_SECONDS) -> None:
        self.app = app
        self._places = asyncio.Semaphore(limit)
        self._waiting = 0
        self._most_waiting = limit * QUEUE_FACTOR
        self._wait_seconds = wait_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or get_route_path(scope) in EXEMPT:
            await self.app(scope, receive, send)
            return
        if not await self._admitted():
            message = "Too many requests at a time: try again in a moment."
            await problem(503, "overloaded", message, headers={"Retry-After": "1"})(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self._places.release()

    async def _admitted(self) -> bool:
        if self._places.locked() and self._waiting >= self._most_waiting:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._places.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True
