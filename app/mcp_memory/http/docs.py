"""The API's description: as OpenAPI document, as one page that needs nothing from anywhere else, and / which leads there."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse

from mcp_memory.http.answers import Json

router = APIRouter(include_in_schema=False)
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'"
)


@router.get("/api/docs")
async def api_docs() -> HTMLResponse:
    page = files("mcp_memory.http").joinpath("docs.html").read_text(encoding="utf-8")
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY, "X-Frame-Options": "DENY"})


@router.get("/api/openapi.json")
@router.get("/openapi.json")
async def openapi_document(request: Request) -> Json:
    return Json(request.app.openapi())


@router.get("/")
async def root() -> RedirectResponse:
    return RedirectResponse("api/docs")
