"""/mcp: the MCP application, imported after start-up.

The MCP SDK takes a second to import. The service is ready without it; a client of /mcp that comes earlier waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from mcp_memory.config import Settings
from mcp_memory.loggers import structlog
from mcp_memory.memories.service import Memories

if TYPE_CHECKING:
    from mcp_memory.mcp.app import McpApp

log = structlog.stdlib.get_logger("mcp_memory.http")


class _LabelledRoute(Route):
    """Names itself in the scope, as FastAPI's own routes do: metrics are labelled by it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return match, {**child, "route": self}


class McpEndpoint:
    """Builds the MCP application in a thread, runs its lifespan, and passes requests on to it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app: asyncio.Future[McpApp] | None = None

    def routes(self) -> list[Route]:
        return [_LabelledRoute(path, endpoint=self, include_in_schema=False) for path in ("/mcp", "/mcp/")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None  # noqa: S101  (the lifespan set it before the first request)
        app = await asyncio.shield(self._app)
        await app(scope, receive, send)

    @asynccontextmanager
    async def running(self, get_memories: Callable[[], Memories]) -> AsyncIterator[None]:
        """Serves between start and end of this context."""
        self._app = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        task = asyncio.create_task(self._run(get_memories, self._app, stop), name="mcp")
        try:
            yield
        finally:
            stop.set()
            await task

    async def _run(
        self, get_memories: Callable[[], Memories], ready: asyncio.Future[McpApp], stop: asyncio.Event
    ) -> None:
        try:
            app = await asyncio.to_thread(_build, get_memories, self._settings)
        except Exception as error:
            log.error("the MCP endpoint can't be built", exc_info=error)
            ready.set_exception(error)
            ready.exception()  # seen: callers of /mcp get it again
            return
        async with app.lifespan():
            ready.set_result(app)
            log.debug("mcp ready")
            await stop.wait()


def _build(get_memories: Callable[[], Memories], settings: Settings) -> McpApp:
    from mcp_memory.mcp.app import build_mcp_app  # noqa: PLC0415  (the point of this module)

    return build_mcp_app(get_memories, legacy_names=settings.legacy_tool_names, list_everything=settings.list_all_tools)
