"""The outermost layer: request id, access log, HTTP metrics, and an answer where everything else failed."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_memory.http.errors import problem
from mcp_memory.loggers import structlog
from mcp_memory.metrics import HTTP_IN_PROGRESS, HTTP_SECONDS

log = structlog.stdlib.get_logger("mcp_memory.http")
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
QUIET = frozenset({"/livez", "/readyz", "/metrics", "/api/health"})
"""Paths that are polled: logged at debug level unless they fail."""
METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"})


class ObserveMiddleware:
    """Gives every request an id (X-Request-ID, the caller's where it is well-formed) that its log lines and answer carry."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status: int | None = None
        started = time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id), HTTP_IN_PROGRESS.track_inprogress():
            try:
                await self.app(scope, receive, sending)
            except Exception:
                log.exception("request failed", method=scope["method"], path=scope["path"])
                if status is not None:
                    raise
                message = f"The service failed on this request; its log has the reason under the id {request_id}."
                await problem(500, "internal_error", message)(scope, receive, sending)
            finally:
                _record(scope, status, time.perf_counter() - started)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return str(value.decode("ascii"))
    return uuid.uuid4().hex


def _record(scope: Scope, status: int | None, seconds: float) -> None:
    """One log line and one observation. The route's template labels it, never the path itself: labels stay few."""
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    HTTP_SECONDS.labels(route_of(scope), method, str(status or "aborted")).observe(seconds)
    path = scope["path"]
    failed = status is None or status >= 500
    emit = log.warning if failed else log.debug if path in QUIET else log.info
    emit("request", method=method, path=path, status=status, ms=round(seconds * 1000, 1))


def route_of(scope: Scope) -> str:
    route: Any = scope.get("route")
    path = getattr(route, "path_format", getattr(route, "path", None))
    return path if isinstance(path, str) else "unmatched"
