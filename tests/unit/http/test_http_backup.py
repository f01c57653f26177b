"""What /api/backup promises."""

from __future__ import annotations

import json

import httpx
import pytest
from small_application import Connect

from mcp_memory.domain.errors import StorageUnavailableError
from mcp_memory.http.routers.backup import CHUNK_BYTES
from mcp_memory.storage.base import BaseStorage

JSON = {"Content-Type": "application/json"}
pytestmark = pytest.mark.anyio


async def test_a_backup_holds_every_memory_of_every_store_as_it_is(client: httpx.AsyncClient) -> None:
    size = CHUNK_BYTES // 8
    for number in range(20):
        memory = {"content": f"{number} " + "x" * size, "tags": [f"t{number}"], "store": f"store{number % 2}"}
        (await client.post("/api/memories", json=memory)).raise_for_status()
    answer = await client.post("/api/backup", headers=JSON)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert len(lines) == 20
    assert {line["store"] for line in lines} == {"store0", "store1"}
    for line in lines:
        assert (await client.get(f"/api/memories/{line['content_hash']}?store=all")).json() == line


async def test_a_backup_of_nothing_is_empty(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/backup", headers=JSON)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_backup_needs_the_key(connect: Connect) -> None:
    client = await connect(api_key="a-key-of-the-owner")
    assert (await client.post("/api/backup", headers=JSON)).status_code == 401
    allowed = await client.post("/api/backup", headers={"X-API-Key": "a-key-of-the-owner"})
    assert allowed.status_code == 200


async def test_a_storage_that_fails_is_no_empty_backup(
    client: httpx.AsyncClient, storage: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> object:
        raise StorageUnavailableError("Qdrant does not answer")

    monkeypatch.setattr(storage, "iterate", fails)
    assert (await client.post("/api/backup", headers=JSON)).status_code == 503
