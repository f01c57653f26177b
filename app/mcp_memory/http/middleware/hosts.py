"""Host and Origin check against DNS rebinding: a web page must not reach a service on loopback through the user's browser."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_memory.http.dependencies import came_over_unix_socket
from mcp_memory.http.errors import problem

EXEMPT = frozenset({"/livez", "/readyz", "/metrics"})


class HostsMiddleware:
    """Refuses a Host that is neither loopback, an IP address, nor in MCP_ALLOWED_HOSTS (421), and a foreign Origin (403).

    An IP address in Host can't come from a rebound name, so it passes. Requests without Origin aren't a web page's.
    """

    def __init__(self, app: ASGIApp, *, allowed_hosts: Sequence[str], origins: Sequence[str] = ()) -> None:
        self.app = app
        self._any = "*" in allowed_hosts
        self._allowed = {host.lower() for host in allowed_hosts}
        self._origins = {origin.lower().rstrip("/") for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exempt = scope["type"] != "http" or scope["path"] in EXEMPT or self._any or came_over_unix_socket(scope)
        if not exempt:
            host = _header(scope, b"host")
            if not self.host_allowed(host):
                message = f"The host {host[:100]!r} is not allowed: add it to MCP_ALLOWED_HOSTS."
                await problem(421, "host_not_allowed", message)(scope, receive, send)
                return
            origin = _header(scope, b"origin")
            if origin and not self.origin_allowed(origin):
                message = f"The origin {origin[:100]!r} is not allowed: add its host to MCP_ALLOWED_HOSTS."
                await problem(403, "origin_not_allowed", message)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def host_allowed(self, host: str) -> bool:
        """Whether a Host header (`name`, `name:port`, `[v6]:port`) may be answered."""
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname, parts.port
        except ValueError:
            return False
        if not name or parts.path or parts.username is not None:
            return False
        name = name.rstrip(".")
        if name == "localhost" or _is_address(name):
            return True
        return bool({name, f"{name}:*"} & self._allowed) or f"{name}:{port}" in self._allowed

    def origin_allowed(self, origin: str) -> bool:
        if "*" in self._origins or origin.lower().rstrip("/") in self._origins:
            return True
        scheme, separator, host = origin.partition("://")
        return separator != "" and scheme in {"http", "https"} and self.host_allowed(host)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _header(scope: Scope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")
