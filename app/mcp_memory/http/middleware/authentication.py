"""Who may ask: holders of the key, this machine's user over the Unix socket, and loopback where no key is set."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass

from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_memory.access import Access, limit_to_reading
from mcp_memory.http.answers import Json
from mcp_memory.http.dependencies import came_over_unix_socket
from mcp_memory.http.errors import problem

OPEN = frozenset({"/", "/api/health", "/livez", "/readyz", "/api/docs", "/api/openapi.json", "/openapi.json"})
"""Answered without a key: health for balancers, and the description of the API."""
METRICS = "/metrics"
READING = frozenset({"/api/search", "/api/search/by-tag", "/api/search/by-time"})
"""What is asked by POST and changes nothing."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What is asked of a client over TCP. Where a key is set it is asked of all; else loopback clients are let in."""

    api_key: str | None
    metrics_key: str | None = None
    """Opens /metrics alone."""
    anonymous: bool = False
    """Let in everybody who sends no key, beside a key too; without a key loopback is let in anyhow."""
    anonymous_access: Access = Access.WRITE
    """What those without a key may do."""


class AuthenticationMiddleware:
    """401 unless `Authorization: Bearer KEY` or `X-API-Key: KEY` is right. A key in the URL, which logs would show, is no key."""

    def __init__(self, app: ASGIApp, *, keys: Keys) -> None:
        self.app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        access = self._access(scope)
        if access is Access.READ:
            limit_to_reading(scope)
            if not _reads(scope):
                await _only_reading()(scope, receive, send)
                return
        if access is not Access.NONE:
            await self.app(scope, receive, send)
            return
        given = _given_key(scope) is not None
        error = "invalid_token" if given else "authorization_required"
        message = (
            "The key is wrong."
            if given
            else "Send the key as `Authorization: Bearer <key>` or `X-API-Key: <key>` (a key in the URL is not accepted)."
        )
        challenge = f'Bearer realm="mcp-memory", error="{error}"' if given else 'Bearer realm="mcp-memory"'
        detail = {"error": error, "error_description": message}
        answer = problem(401, error, message, detail=detail, headers={"WWW-Authenticate": challenge})
        await answer(scope, receive, send)

    def _access(self, scope: Scope) -> Access:
        """A wrong key gets nothing where one is set: who sends it means to be somebody."""
        path = get_route_path(scope) if scope["type"] == "http" else None
        if path is None or path in OPEN or _is_looked_for(path) or came_over_unix_socket(scope):
            return Access.WRITE
        given, keys = _given_key(scope), self._keys
        if _same(given, keys.api_key) or (path == METRICS and _same(given, keys.metrics_key)):
            return Access.WRITE
        keyless = keys.api_key is None or given is None
        let_in = keyless and (keys.anonymous or (keys.api_key is None and _from_loopback(scope)))
        return keys.anonymous_access if let_in else Access.NONE


def _reads(scope: Scope) -> bool:
    """Whether the request itself changes nothing. What a call over MCP does its tool knows, which asks `may_write`."""
    path = get_route_path(scope).rstrip("/")
    return scope["method"] in ("GET", "HEAD", "OPTIONS") or path in READING or path == "/mcp"


def _only_reading() -> Json:
    message = "Without a key requests may only read here (MCP_ANONYMOUS_SCOPE): send the key to change something."
    challenge = 'Bearer realm="mcp-memory", error="insufficient_scope", scope="write"'
    detail = {"error": "insufficient_scope", "error_description": message}
    return problem(403, "insufficient_scope", message, detail=detail, headers={"WWW-Authenticate": challenge})


def _is_looked_for(path: str) -> bool:
    """Where clients look for OAuth: nothing is there, and 401 would tell them to go on looking."""
    return path in {"/register", "/authorize", "/token"} or path.partition("/.well-known/")[1] != ""


def _same(given: bytes | None, key: str | None) -> bool:
    return given is not None and key is not None and hmac.compare_digest(given, key.encode())


def _given_key(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return bytes(value.strip())
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer":
                return bytes(token.strip())
    return None


def _from_loopback(scope: Scope) -> bool:
    """By the connection's peer address; forwarding headers are not believed."""
    client = scope.get("client")
    if client is None:
        return False
    address = ipaddress.ip_address(client[0].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
