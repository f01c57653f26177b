"""Errors on the wire: `{"detail": ..., "error": {"code", "message", "field"}}`.

`detail` is what clients of the original service read; `error.code` is for programs, `error.message` for people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import Scope

from mcp_memory.domain import errors
from mcp_memory.http.answers import Json
from mcp_memory.http.dependencies import came_over_unix_socket
from mcp_memory.http.methods import allowed
from mcp_memory.http.schemas.strict import UNKNOWN_FIELD

STATUS_OF: tuple[tuple[type[errors.MemoryServiceError], int], ...] = (
    (errors.MemoryNotFoundError, 404),
    (errors.InvalidInputError, 422),
    (errors.StorageUnavailableError, 503),
    (errors.StorageFullError, 507),
    (errors.StorageLockedError, 503),
    (errors.StorageFormatError, 503),
    (errors.ModelChangedError, 503),
    (errors.EmbeddingError, 503),
    (errors.AbandonedError, 499),
)
"""The first class that fits decides; anything else is 500."""

CODE_OF = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "conflict",
    413: "body_too_large",
    415: "unsupported_media_type",
    421: "host_not_allowed",
}
LOCAL = "/internal/"
"""Where what clients on this machine ask of the owner is, on its local socket."""
NOT_FOUND = "Not Found"
RETRY_SECONDS = 1.0
"""Retry-After where the error itself doesn't know better."""


class RequestError(Exception):
    """A request that the HTTP layer itself refuses, with the status that clients of the original service expect."""

    def __init__(self, status: int, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field


def problem(
    status: int,
    code: str,
    message: str,
    *,
    field: str | None = None,
    detail: object = None,
    headers: Mapping[str, str] | None = None,
) -> Json:
    """The answer for an error. Text that isn't valid Unicode (a lone surrogate echoed back) is escaped, never fatal."""
    error: dict[str, object] = {"code": code, "message": _encodable(message)}
    if field is not None:
        error["field"] = _encodable(field)
    body = {"detail": error["message"] if detail is None else detail, "error": error}
    return Json(body, status_code=status, headers=dict(headers) if headers else None)


def problem_of(error: errors.MemoryServiceError) -> Json:
    """The answer for an error of the domain, the storage or the embedding."""
    status = next((status for kind, status in STATUS_OF if isinstance(error, kind)), 500)
    headers = {}
    if status == 503:
        wait = getattr(error, "retry_after", RETRY_SECONDS)
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    detail = "Memory not found" if isinstance(error, errors.MemoryNotFoundError) else None
    return problem(
        status, error.code, error.message, field=getattr(error, "field", None), detail=detail, headers=headers
    )


def install(app: FastAPI) -> None:
    """Register the handlers."""

    async def on_service_error(_: Request, error: Exception) -> Json:
        assert isinstance(error, errors.MemoryServiceError)  # noqa: S101  (registered for this class)
        return problem_of(error)

    async def on_request_error(_: Request, error: Exception) -> Json:
        assert isinstance(error, RequestError)  # noqa: S101
        return problem(error.status, error.code, error.message, field=error.field)

    async def on_http_error(request: Request, error: Exception) -> Json:
        assert isinstance(error, HTTPException)  # noqa: S101
        if error.status_code == 405 or (error.status_code == 404 and error.detail == NOT_FOUND):
            return _no_such_operation(app.router.routes, request.scope, error.status_code)
        code = CODE_OF.get(error.status_code, "http_error")
        return problem(error.status_code, code, str(error.detail), headers=error.headers)

    async def on_validation_error(_: Request, error: Exception) -> Json:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return _validation_problem(error.errors())

    app.add_exception_handler(errors.MemoryServiceError, on_service_error)
    app.add_exception_handler(RequestError, on_request_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)


def _no_such_operation(routes: Sequence[BaseRoute], scope: Scope, status: int) -> Json:
    """405 with every method that the address takes, else 404. What is for the local socket isn't there for others."""
    path = get_route_path(scope)
    hidden = path.startswith(LOCAL) and not came_over_unix_socket(scope)
    if status == 405 and not hidden:
        methods = allowed(routes, scope)
        message = f"{scope['method']} isn't served at {path[:200]}, which takes {methods}."
        return problem(405, CODE_OF[405], message, detail="Method Not Allowed", headers={"Allow": methods})
    message = f"There is nothing at {path[:200]}. GET /api/docs describes the API."
    return problem(404, CODE_OF[404], message, detail=NOT_FOUND)


def _validation_problem(issues: Sequence[Mapping[str, Any]]) -> Json:
    first = issues[0]
    if first["type"] == "json_invalid":
        position = first["loc"][-1]
        reason = first.get("ctx", {}).get("error", "")
        return problem(400, "invalid_json", f"The body is not valid JSON: {reason} at character {position}.")
    if tuple(first["loc"]) == ("body",):
        message = "Send a JSON object as the body, with the header Content-Type: application/json."
        return problem(422, "invalid_input", message, field="body")
    detail = [
        {"loc": [_encodable(part) for part in issue["loc"]], "msg": _encodable(issue["msg"]), "type": issue["type"]}
        for issue in issues[:20]
    ]
    field = ".".join(str(part) for part in first["loc"][1:])
    if first["type"] == UNKNOWN_FIELD:
        return problem(422, UNKNOWN_FIELD, str(first["msg"]), field=field, detail=detail)
    return problem(422, "invalid_input", f"{field}: {first['msg']}.", field=field, detail=detail)


def _encodable(value: object) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
