"""The running service as commands see it: requests to the owner, answers as JSON, errors as our own classes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from mcp_memory.config import Settings, load_settings
from mcp_memory.domain.agents import to_headers
from mcp_memory.domain.errors import MemoryServiceError
from mcp_memory.owner.client import OwnerClient
from mcp_memory.owner.connection import Response
from mcp_memory.owner.identity import identify
from mcp_memory.owner.starter import rebuild

LONG_SECONDS = 3600.0
"""For work on everything: optimize, recall, deleting by condition."""


@dataclass(frozen=True, slots=True)
class ExportPage:
    """JSON lines, how many, and the point id behind which the next page begins."""

    lines: bytes
    count: int
    last_id: str


class Service:
    """REST calls to the owner of the store. Every method raises the service's own errors."""

    def __init__(self, client: OwnerClient) -> None:
        self.client = client

    async def get(self, path: str, parameters: Mapping[str, object] | None = None, *, seconds: float = 120.0) -> Any:
        return (await self.send("GET", with_parameters(path, parameters), seconds=seconds)).json()

    async def post(self, path: str, value: object, *, seconds: float = 120.0) -> Any:
        body = json.dumps(value).encode()
        return (await self.send("POST", path, body=body, seconds=seconds)).json()

    async def send(self, method: str, target: str, *, body: bytes = b"", seconds: float = 120.0) -> Response:
        """Raises what the answer's error stands for."""
        headers = {"Content-Type": "application/json"} if body else None
        response = await self.client.request(method, target, headers=headers, body=body, deadline_seconds=seconds)
        if not response.ok:
            raise error_in(response)
        return response

    async def export_page(self, parameters: Mapping[str, object]) -> ExportPage:
        response = await self.send("GET", with_parameters("/internal/export", parameters), seconds=LONG_SECONDS)
        return ExportPage(response.body, int(response.headers["x-count"]), response.headers["x-last-id"])


@asynccontextmanager
async def service(settings: Settings | None = None) -> AsyncIterator[Service]:
    """The service of these settings, started if need be."""
    settings = settings or load_settings()
    client = OwnerClient(identify(settings), headers=to_headers(settings.agent_id))
    try:
        yield Service(client)
    finally:
        await client.close()


def with_parameters(path: str, parameters: Mapping[str, object] | None) -> str:
    """Parameters that are None are left out."""
    given = {name: value for name, value in (parameters or {}).items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def error_in(response: Response) -> MemoryServiceError:
    """The error that an answer carries."""
    try:
        error = response.json()["error"]
        return rebuild(str(error["code"]), str(error["message"]))
    except (ValueError, KeyError, TypeError):
        return MemoryServiceError(f"The memory service answered HTTP {response.status}: {response.body[:200]!r}")
