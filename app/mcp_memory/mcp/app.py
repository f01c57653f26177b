"""The ASGI application behind /mcp: streamable HTTP without sessions, so that any worker or replica can answer any request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import INVALID_REQUEST
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from mcp_memory import __version__
from mcp_memory.mcp.requests import RefusedError, completed
from mcp_memory.mcp.server import build_server
from mcp_memory.memories.service import Memories


class McpApp:
    """An ASGI application that answers whatever path it is given; add it as a route, not as a mount (which redirects to /mcp/).

    It answers inside `async with app.lifespan()`, which may follow an earlier one.
    """

    def __init__(self, make_manager: Callable[[], StreamableHTTPSessionManager]) -> None:
        self._make_manager = make_manager
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Requests are answered inside. At the end those still running are cancelled: drain first."""
        manager = self._make_manager()  # The SDK's can run once only.
        async with manager.run():
            self._manager = manager
            try:
                yield
            finally:
                self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._manager is None:
            raise RuntimeError("The MCP application answers only inside its lifespan")
        if scope["method"] != "POST":
            # Without sessions there is nothing to listen to or to end; the SDK would keep an idle stream open for each GET.
            await _method_not_allowed(scope, receive, send)
            return
        if not any(name == b"accept" for name, _ in scope["headers"]):
            scope = {**scope, "headers": [*scope["headers"], (b"accept", b"*/*")]}
        try:
            whole = await completed(receive)
        except RefusedError as error:
            await JSONResponse(error.answer, status_code=400)(scope, receive, send)
            return
        await self._manager.handle_request(scope, whole, send)


async def _method_not_allowed(scope: Scope, receive: Receive, send: Send) -> None:
    message = (
        "POST JSON-RPC messages here. This server keeps no sessions, so there is no stream to GET and none to DELETE."
    )
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": INVALID_REQUEST, "message": message}}
    await JSONResponse(body, status_code=405, headers={"Allow": "POST"})(scope, receive, send)


def build_mcp_app(
    get_memories: Callable[[], Memories],
    *,
    legacy_names: bool = True,
    list_everything: bool = False,
    version: str = __version__,
) -> McpApp:
    """Tools and resources over `get_memories()`, which is asked at every request and may raise a MemoryServiceError.

    Host, Origin, keys and sizes are checked by the application around this one: the SDK's own list of hosts would be a second
    opinion that refuses what the first allows.
    """
    server = build_server(get_memories, legacy_names=legacy_names, list_everything=list_everything, version=version)
    unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    return McpApp(
        lambda: StreamableHTTPSessionManager(server, json_response=True, stateless=True, security_settings=unchecked)
    )
