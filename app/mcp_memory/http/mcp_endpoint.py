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
from mcp_memory.http.errors import problem
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


class McpUnavailableError(Exception):
    """The MCP application could not be built this time."""


class McpEndpoint:
    """Builds the MCP application in a thread, runs its lifespan, and passes requests on to it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app: asyncio.Future[McpApp] | None = None
        self._failure: str | None = None
        self._again = asyncio.Event()

    @property
    def failure(self) -> str | None:
        """Why /mcp couldn't be built the last time, until it is. Looking tries it again."""
        self._try_again()
        return self._failure

    def _try_again(self) -> None:
        if self._failure is not None and self._app is not None and self._app.done():
            self._app = asyncio.get_running_loop().create_future()
            self._again.set()

    def routes(self) -> list[Route]:
        return [_LabelledRoute(path, endpoint=self, include_in_schema=False) for path in ("/mcp", "/mcp/")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._try_again()
        assert self._app is not None  # noqa: S101  (the lifespan set it before the first request)
        try:
            app = await asyncio.shield(self._app)
        except McpUnavailableError as error:
            await problem(503, "mcp_unavailable", str(error), headers={"Retry-After": "1"})(scope, receive, send)
            return
        await app(scope, receive, send)

    @asynccontextmanager
    async def running(self, get_memories: Callable[[], Memories]) -> AsyncIterator[None]:
        """Serves between start and end of this context."""
        self._app = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        task = asyncio.create_task(self._run(get_memories, stop), name="mcp")
        try:
            yield
        finally:
            stop.set()
            self._again.set()
            await task
            if self._app is not None and not self._app.done():
                self._app.cancel()

    async def _run(self, get_memories: Callable[[], Memories], stop: asyncio.Event) -> None:
        while not stop.is_set():
            assert self._app is not None  # noqa: S101  (set by `running`)
            try:
                app = await asyncio.to_thread(_build, get_memories, self._settings)
            except Exception as error:
                log.error("the MCP endpoint can't be built; it is tried again when it is asked for", exc_info=error)
                self._failure = f"MCP can't be served now ({error}): try again in a moment."
                self._again.clear()
                self._app.set_exception(McpUnavailableError(self._failure))
                self._app.exception()  # seen: callers of /mcp get it
                await self._again.wait()
                continue
            self._failure = None
            async with app.lifespan():
                self._app.set_result(app)
                log.debug("mcp ready")
                await stop.wait()


def _build(get_memories: Callable[[], Memories], settings: Settings) -> McpApp:
    from mcp_memory.mcp.app import build_mcp_app  # noqa: PLC0415  (the point of this module)

    return build_mcp_app(get_memories, legacy_names=settings.legacy_tool_names, list_everything=settings.list_all_tools)
