"""/metrics, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response

from mcp_memory.http.dependencies import ContainerDep
from mcp_memory.http.schemas.common import problems
from mcp_memory.metrics import CONTENT_TYPE, exposition

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(401)},
)
async def metrics(container: ContainerDep) -> Response:
    """Everything measured, in the Prometheus text format."""
    return Response(await exposition(container.gauges), media_type=CONTENT_TYPE)
