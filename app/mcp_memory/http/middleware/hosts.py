"""Host and Origin check against DNS rebinding: a web page must not reach a service on loopback through the user's browser."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_memory.http.answers import Json
from mcp_memory.http.dependencies import came_over_unix_socket
from mcp_memory.http.errors import problem

EXEMPT = frozenset({"/livez", "/readyz", "/metrics"})
PORTS = {"http": 80, "https": 443}
FORM_TYPES = frozenset({b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data"})
ASKED_FOR = frozenset(
    {b"authorization", b"x-api-key", b"x-agent-id", b"x-client-hostname", b"x-request-id", b"mcp-protocol-version"}
)
"""Headers that a page sends to another site only after a preflight."""


class HostsMiddleware:
    """Refuses a Host that is neither loopback, an IP address, nor in MCP_ALLOWED_HOSTS (421), and a foreign Origin (403).

    An IP address in Host can't come from a rebound name, so it passes. An Origin is the request's own host, loopback, or
    listed; requests without one aren't a web page's.
    """

    def __init__(self, app: ASGIApp, *, allowed_hosts: Sequence[str], origins: Sequence[str] = ()) -> None:
        self.app = app
        self._any = "*" in allowed_hosts
        self._allowed = {host.lower() for host in allowed_hosts}
        self._origins = {origin.lower().rstrip("/") for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = self._refusal(scope)
        await (self.app if answer is None else answer)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Json | None:
        if sum(name == b"host" for name, _ in scope["headers"]) > 1:
            return problem(400, "bad_request", "The request has more than one Host.")
        if get_route_path(scope) in EXEMPT or came_over_unix_socket(scope):
            return None
        host = _header(scope, b"host")
        if not self._any and not self.host_allowed(host):
            message = f"The host {host[:100]!r} is not allowed: add it to MCP_ALLOWED_HOSTS."
            return problem(421, "host_not_allowed", message)
        for name, value in scope["headers"]:
            if name == b"origin" and not self.origin_allowed(value.decode("latin-1"), host):
                shown = value.decode("latin-1")[:100]
                message = f"The origin {shown!r} is not allowed: add its host to MCP_ALLOWED_HOSTS, or it to MCP_CORS_ORIGINS."
                return problem(403, "origin_not_allowed", message)
        return None

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

    def origin_allowed(self, origin: str, host: str) -> bool:
        """Whether a page of this origin may ask, with this Host."""
        if "*" in self._origins or origin.lower().rstrip("/") in self._origins:
            return True
        try:
            parts = urlsplit(origin)
            asked = urlsplit(f"//{host}")
            own = (asked.hostname, asked.port or PORTS.get(parts.scheme))
            name, port = parts.hostname, parts.port or PORTS.get(parts.scheme)
        except ValueError:
            return False
        if parts.scheme not in PORTS or not name or parts.path or parts.query or parts.username is not None:
            return False
        if (name, port) == own or name == "localhost" or _is_loopback(name):
            return True
        return bool({name, f"{name}:*", f"{name}:{port}"} & self._allowed)


class UnaskedMiddleware:
    """415 for what changes something and is a request that a browser sends to another site without asking leave for it.

    Stands behind authentication: a key in a header is such a question. The local socket is no browser's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not came_over_unix_socket(scope) and may_be_sent_unasked(scope):
            message = "Send the header Content-Type: application/json (also without a body): a web page can't, unasked."
            await problem(415, "unsupported_media_type", message)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def may_be_sent_unasked(scope: Scope) -> bool:
    """Whether a browser sends such a request to another site without a preflight: a form's, or none of our headers."""
    if scope["method"] != "POST":
        return False
    for name, value in scope["headers"]:
        if name in ASKED_FOR:
            return False
        if name == b"content-type":
            media_type = value.partition(b";")[0].strip().lower()
            return not media_type or media_type in FORM_TYPES
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _header(scope: Scope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")
