"""Which methods an address takes: `Allow` on every 405, and HEAD for whatever can be read."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


class HeadMiddleware:
    """Answers HEAD as GET would be answered, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        reading = {**scope, "method": "GET"}
        try:
            await self.app(reading, receive, sending)
        finally:
            scope["route"] = reading.get("route")  # metrics are labelled by it


def allowed(routes: Iterable[BaseRoute], scope: Scope) -> str:
    """The methods that this address takes, as `Allow` names them."""
    routes = list(routes)
    asked = {name: scope[name] for name in ("type", "path", "root_path")} | {"headers": [], "path_params": {}}

    def takes(method: str) -> bool:
        return any(route.matches({**asked, "method": method})[0] is Match.FULL for route in routes)

    methods = {method for method in METHODS if takes(method)}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
