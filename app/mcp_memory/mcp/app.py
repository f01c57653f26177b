"""The ASGI application behind /mcp: streamable HTTP without sessions, so that any worker or replica can answer any request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import INVALID_REQUEST
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from mcp_memory import __version__
from mcp_memory.mcp.server import build_server
from mcp_memory.memories.service import Memories


class McpApp:
    """An ASGI application that answers every path it is given; add it as a route, not as a mount:

    `app.router.routes.append(Route("/mcp", mcp_app))`, and `async with mcp_app.lifespan():` around serving, once or again.
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
            raise RuntimeError("The MCP application answers only inside its lifespan()")
        if scope["method"] != "POST":
            # Without sessions there is nothing to listen to or to end; the SDK would keep an idle stream open for each GET.
            await _method_not_allowed(scope, receive, send)
            return
        if not any(name == b"accept" for name, _ in scope["headers"]):
            MutableHeaders(scope=scope)["accept"] = "*/*"
        await self._manager.handle_request(scope, receive, send)


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
    allowed_hosts: Sequence[str] | None = None,
    version: str = __version__,
) -> McpApp:
    """Tools and resources over `get_memories()`, which is asked at every request.

    Host and Origin are checked by the application around this one. `allowed_hosts` turns a check on here as well, for use
    without one: loopback and these names (`name`, `name:port` or `name:*`; `*` accepts all).
    """
    server = build_server(get_memories, legacy_names=legacy_names, version=version)
    security = _security(allowed_hosts)
    return McpApp(
        lambda: StreamableHTTPSessionManager(server, json_response=True, stateless=True, security_settings=security)
    )


def _security(allowed_hosts: Sequence[str] | None) -> TransportSecuritySettings:
    if allowed_hosts is None or "*" in allowed_hosts:
        return TransportSecuritySettings(enable_dns_rebinding_protection=False)
    patterns = ["127.0.0.1", "localhost", "[::1]", *allowed_hosts]
    hosts = [form for name in patterns for form in ((name,) if _names_port(name) else (name, f"{name}:*"))]
    hosts += [name.removesuffix(":*") for name in allowed_hosts if name.endswith(":*")]
    return TransportSecuritySettings(
        allowed_hosts=hosts,
        allowed_origins=[f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")],
    )


def _names_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]
