"""What the original service has and this one doesn't answers in words."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from small_application import Connect

from mcp_memory.http.not_here import GROUPS

pytestmark = pytest.mark.anyio
OPERATIONS = [(operation, group.instead) for group in GROUPS for operation in group.operations]


def concrete(path: str) -> str:
    return path.replace("{content_hash}", "0" * 64).replace("{", "").replace("}", "")


async def test_every_operation_that_is_not_here_says_so_and_what_to_use(client: httpx.AsyncClient) -> None:
    for operation, instead in OPERATIONS:
        method, path = operation.split(" ")
        answer = await client.request(method, concrete(path), json={} if method == "POST" else None)
        assert answer.status_code == 501, operation
        assert answer.json()["error"]["code"] == "not_implemented"
        assert operation in answer.json()["detail"]
        assert instead in answer.json()["detail"]


async def test_the_key_is_asked_for_them_as_for_the_others(connect: Connect) -> None:
    client = await connect(api_key="secret")
    for path in ("/api/sync/status", "/api/analytics/performance", "/mcp/tools"):
        assert (await client.get(path)).status_code == 401


async def test_every_path_that_is_named_instead_is_one(client: httpx.AsyncClient) -> None:
    known = (await client.get("/openapi.json")).json()["paths"]
    named = [word.rstrip(".,:;") for _, instead in OPERATIONS for word in instead.split() if word.startswith("/api/")]
    assert named
    assert {path for path in named if path not in known} <= {"/api/docs"}


def test_the_documented_table_names_each() -> None:
    page = (Path(__file__).parents[3] / "docs" / "connecting.md").read_text(encoding="utf-8")
    assert not [operation for operation, _ in OPERATIONS if f"`{operation}`" not in page]
    assert not [instead for _, instead in OPERATIONS if instead not in page]
