"""Where there are no Unix sockets (Windows), a token from the owner's record (0600) takes the place of the socket's mode."""

from __future__ import annotations

import secrets

from mcp_memory.owner.gate import App, Receive, Scope, Send
from mcp_memory.owner.handshake import TOKEN_HEADER

_HEADER = TOKEN_HEADER.lower().encode()


class TokenDoor:
    """ASGI middleware around a whole app: a request with the token counts as local, as one over the Unix socket does.

    `alone`: the app has no other door, so that a request without the token is refused.
    """

    def __init__(self, app: App, token: str, *, alone: bool = True) -> None:
        self._app = app
        self._token = token.encode()
        self._alone = alone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = next((value for name, value in scope["headers"] if name == _HEADER), b"")
            if secrets.compare_digest(given, self._token):
                scope = {**scope, "server": ("owner", None)}
            elif self._alone:
                await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]})
                await send({"type": "http.response.body", "body": b""})
                return
        await self._app(scope, receive, send)
