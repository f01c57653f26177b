"""The OpenAPI document: which key each operation asks for, and where the service is, besides what FastAPI finds out."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from mcp_memory.access import Access
from mcp_memory.config import Settings
from mcp_memory.http.middleware.authentication import OPEN, READING

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer <key>`"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


class Service(FastAPI):
    """The application, with its description."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self._settings = settings
        super().__init__(**options)
        self.root_path = settings.root_path

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            document["servers"] = [{"url": self._settings.root_path or "/"}]
            document.setdefault("components", {})["securitySchemes"] = SCHEMES
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    operation["security"] = self._security(path, method)
        return super().openapi()

    def _security(self, path: str, method: str) -> list[dict[str, list[str]]]:
        """One of these is asked for; the empty one stands for no key."""
        if path in OPEN:
            return []
        settings = self._settings
        keyless = settings.api_key is None or settings.allow_anonymous_access
        may = {Access.WRITE: True, Access.READ: method == "get" or path in READING, Access.NONE: False}
        names = [{name: list[str]()} for name in SCHEMES]
        return [*names, {}] if keyless and may[settings.anonymous_scope] else names
