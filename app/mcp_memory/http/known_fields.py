"""Parameters of the query string that a path doesn't know are refused, as fields of a body are (`schemas.strict`)."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from mcp_memory.domain.fields import unknown_field
from mcp_memory.http.errors import RequestError
from mcp_memory.http.schemas.strict import UNKNOWN_FIELD


async def only_known_parameters(request: Request) -> None:
    """422 for a parameter of the query string that the path doesn't take, or that is given twice."""
    if not request.scope["query_string"]:
        return
    route = request.scope["route"]
    assert isinstance(route, APIRoute)  # noqa: S101  (a dependency of its routers)
    known = {parameter.alias for parameter in route.dependant.query_params}
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            message = unknown_field(name, known, kind="parameter")
            raise RequestError(422, UNKNOWN_FIELD, message, field=name)
        if name in seen:
            message = f"The parameter {name!r} is given twice, and which one counts isn't said: give it once."
            raise RequestError(422, "invalid_input", message, field=name)
        seen.add(name)


async def nothing_in_the_body(request: Request) -> None:
    """For a path that changes something and takes no body: what stands in one would be ignored, so it is refused.

    `{}` and `null`, which some clients always send, ask for nothing.
    """
    body = await request.body()
    if not body.strip():
        return
    try:
        asked: Any = json.loads(body)
    except (ValueError, RecursionError):
        asked = "?"
    if not asked:
        return
    if isinstance(asked, dict):
        name = str(next(iter(asked)))
        known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
        message = unknown_field(name, known)
        if known:
            message += " This path takes parameters in the query string, and no body."
        raise RequestError(422, UNKNOWN_FIELD, message, field=name)
    raise RequestError(422, "invalid_input", "This path takes no body, so nothing was done.", field="body")


KNOWN = [Depends(only_known_parameters)]
"""For an APIRouter: every one of its paths."""
NO_BODY = [Depends(nothing_in_the_body)]
"""For a path that changes something and takes no body."""
