"""Tells long work whether its client has gone: memories/wanted.py asks between slices."""

from __future__ import annotations

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_memory.memories.wanted import asked_by


class GoneMiddleware:
    """Stands behind whatever reads the body: what is received after it is that the client has gone."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def gone() -> bool:
            message: Message = {"type": "nothing"}
            with anyio.CancelScope() as looking:
                looking.cancel()  # what isn't there yet isn't waited for
                message = await receive()
            return bool(message["type"] == "http.disconnect")

        with asked_by(gone):
            await self.app(scope, receive, send)
