"""A memory that a newer one replaced leaves results, and never what is there: it is shown on request and carried along."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from small_application import Connect

from mcp_memory.domain.memory import content_hash
from mcp_memory.storage.base import BaseStorage
from reference_storage import ReferenceStorage

pytestmark = pytest.mark.anyio
OLD, NEW = "Falcon runs on PostgreSQL 14", "Falcon runs on PostgreSQL 16"


async def tool(client: httpx.AsyncClient, name: str, **arguments: Any) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    answer = await client.post("/mcp", json=body)
    result: dict[str, Any] = answer.json()["result"]
    return result


@pytest.fixture
async def corrected(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await tool(client, "memory_store", content=OLD, tags=["db"])
    await tool(client, "memory_store", content=NEW, tags=["db"], replaces=content_hash(OLD))
    return client


READS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a search": ("POST", "/api/search", {"query": "PostgreSQL"}),
    "a search without a query": ("POST", "/api/search", {"tags": ["db"]}),
    "by tag, all": ("POST", "/api/search/by-tag", {"tags": ["db"]}),
    "by tag, some": ("POST", "/api/search/by-tag", {"tags": ["db"], "limit": 5}),
    "by time": ("POST", "/api/search/by-time", {"query": "today"}),
    "a list": ("GET", "/api/memories", {}),
}


@pytest.mark.parametrize("case", READS)
async def test_it_is_shown_where_it_is_asked_for_and_only_there(corrected: httpx.AsyncClient, case: str) -> None:
    method, path, wish = READS[case]
    found = []
    for also in ({}, {"include_superseded": False}, {"include_superseded": True}):
        given = {"params" if method == "GET" else "json": wish | also}
        answer = (await corrected.request(method, path, **given)).json()
        memories = answer["memories"] if "memories" in answer else [hit["memory"] for hit in answer["results"]]
        found.append({memory["content"] for memory in memories})
    assert found == [{NEW}, {NEW}, {NEW, OLD}]


async def test_a_deletion_does_not_take_the_word_for_a_condition(corrected: httpx.AsyncClient) -> None:
    body = {"tags": ["db"], "include_superseded": False}
    assert (await corrected.post("/api/memories/delete", json=body)).status_code == 422


async def lines_of(client: httpx.AsyncClient, owner: httpx.AsyncClient, way: str) -> list[str]:
    """What a backup over REST, or an export with or without conditions, holds."""
    if way == "backup":
        return (await client.post("/api/backup", headers={"Content-Type": "application/json"})).text.splitlines()
    parameters = {"export": {}, "export of a tag": {"tag": "db"}, "export of a store": {"store": "default"}}[way]
    return (await owner.get("/internal/export", params=parameters)).text.splitlines()


@pytest.mark.parametrize("way", ["backup", "export", "export of a tag", "export of a store"])
async def test_it_is_carried_to_another_store_with_what_superseded_it(
    corrected: httpx.AsyncClient, connect: Connect, storage: BaseStorage, way: str
) -> None:
    owner = await connect(unix=True)
    lines = await lines_of(corrected, owner, way)
    assert len(lines) == 2
    assert isinstance(storage, ReferenceStorage)
    await storage.delete([content_hash(OLD), content_hash(NEW)])
    report = (await owner.post("/internal/import", json={"lines": lines})).json()
    assert (report["imported"], report["rejected"]) == (2, [])
    old = (await corrected.get(f"/api/memories/{content_hash(OLD)}")).json()
    assert old["metadata"]["superseded_by"] == content_hash(NEW)
    listed = (await corrected.get("/api/memories")).json()
    assert [memory["content"] for memory in listed["memories"]] == [NEW]
