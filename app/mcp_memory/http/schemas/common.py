"""Shapes that several endpoints share."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field

Tags = Annotated[
    list[str] | str | None,
    Field(description="A list, a comma-separated string, or a JSON array as a string", examples=[["deploy", "ops"]]),
]
ReadStore = Annotated[str, Query(description="Named store; `all` means every store", examples=["default"])]
StoreName = Annotated[str, Field(description="Named store; `all` means every store")]


class MemoryOut(BaseModel):
    """A memory. Times are UTC seconds, and the same in ISO 8601."""

    content: str
    content_hash: str
    tags: list[str]
    memory_type: str | None
    metadata: dict[str, Any]
    created_at: float
    created_at_iso: str
    updated_at: float
    updated_at_iso: str
    store: str


class ErrorBody(BaseModel):
    code: str = Field(description="Machine-readable name of the error", examples=["memory_not_found"])
    message: str = Field(description="What happened, to which thing, and what to do")
    field: str | None = Field(None, description="The part of the input that is wrong")


class ErrorOut(BaseModel):
    """An error. `detail` is kept for clients of the original service."""

    detail: Any
    error: ErrorBody


_MEANING = {
    400: "The request can't be read, or names nothing that can be done",
    401: "A key is required, or the one given is wrong",
    403: "The Origin header names a site that is not allowed",
    404: "There is no such memory",
    408: "The body did not arrive in time",
    413: "The body is larger than the limit",
    415: "A request that a web page may send unasked: give `Content-Type: application/json` or a key header",
    421: "The Host header names a host that is not allowed",
    422: "The input breaks a rule; nothing was changed",
    503: "Overloaded or unavailable; try again after Retry-After seconds",
    507: "No space is left for a write; reads go on",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of an endpoint, for its OpenAPI description."""
    return {status: {"model": ErrorOut, "description": _MEANING[status]} for status in statuses}


EVERYWHERE = problems(401, 403, 421, 503)
READ = problems(422)
WRITE = problems(400, 408, 413, 415, 422, 507)
