"""The first twelve digits name a memory on every way in; where they fit several, nothing is done, and both are named."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from small_application import Connect

pytestmark = pytest.mark.anyio
SHORT = "0123456789ab"
ONE, OTHER, ALONE = SHORT + "0" * 52, SHORT + "1" * 52, "ffff" + "0" * 60
TEXTS = {ONE: "the one", OTHER: "the other", ALONE: "alone"}


@pytest.fixture
async def client(connect: Connect) -> httpx.AsyncClient:
    """Two memories whose hashes begin alike, and one that is alone. Only imports bring hashes of another's making."""
    owner = await connect(unix=True)
    lines = [f'{{"content": "{text}", "content_hash": "{hash_}", "tags": ["t"]}}' for hash_, text in TEXTS.items()]
    assert (await owner.post("/internal/import", json={"lines": lines})).json()["imported"] == 3
    return await connect()


async def tool(client: httpx.AsyncClient, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    result: dict[str, Any] = (await client.post("/mcp", json=body)).json()["result"]
    return result


async def stored(client: httpx.AsyncClient) -> list[tuple[str, list[str]]]:
    """Texts and tags of everything, superseded ones too."""
    listed = await client.get("/api/memories", params={"store": "all", "include_superseded": True})
    return sorted((memory["content"], memory["tags"]) for memory in listed.json()["memories"])


TOOLS: dict[str, dict[str, Any]] = {
    "memory_list": {"hashes": ["{}"]},
    "memory_delete": {"content_hash": "{}"},
    "memory_delete of several": {"hashes": ["{}", ALONE]},
    "memory_delete, dry": {"content_hash": "{}", "dry_run": True},
    "memory_update": {"content_hash": "{}", "updates": {"add_tags": ["new"]}},
    "memory_update of several": {"hashes": [ALONE, "{}"], "updates": {"add_tags": ["new"]}},
    "memory_store": {"content": "newer", "replaces": "{}"},
    "memory_store of several": {"memories": [{"content": "newer", "replaces": "{}"}]},
    "delete_memory": {"content_hash": "{}"},
    "update_memory_metadata": {"content_hash": "{}", "updates": {"tags": ["new"]}},
}
REST: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "get": ("GET", "/api/memories/{}", None),
    "put": ("PUT", "/api/memories/{}", {"tags": ["new"]}),
    "delete": ("DELETE", "/api/memories/{}", None),
    "similar": ("GET", "/api/search/similar/{}", None),
    "delete several": ("POST", "/api/memories/delete", {"hashes": [ALONE, "{}"]}),
    "change several": ("POST", "/api/memories/update", {"hashes": [ALONE, "{}"], "add_tags": ["new"]}),
}


def filled(value: Any, hash_: str) -> Any:
    if isinstance(value, dict):
        return {name: filled(each, hash_) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, hash_) for each in value]
    return value.replace("{}", hash_) if isinstance(value, str) else value


@pytest.mark.parametrize("case", TOOLS)
async def test_a_tool_refuses_what_fits_several_and_changes_nothing(client: httpx.AsyncClient, case: str) -> None:
    before = await stored(client)
    result = await tool(client, case.split(maxsplit=1)[0].strip(","), filled(TOOLS[case], SHORT))
    said = result["content"][0]["text"]
    assert f"The short hash {SHORT} fits several memories" in said
    assert ONE in said
    assert OTHER in said
    assert result.get("isError") or result["structuredContent"]["results"][0]["status"] == "invalid"
    assert await stored(client) == before


@pytest.mark.parametrize("case", TOOLS)
async def test_a_tool_takes_what_fits_one(client: httpx.AsyncClient, case: str) -> None:
    result = await tool(client, case.split(maxsplit=1)[0].strip(","), filled(TOOLS[case], ALONE[:12]))
    assert not result.get("isError"), result["content"]
    assert "invalid" not in result["content"][0]["text"]


@pytest.mark.parametrize("case", REST)
async def test_rest_refuses_what_fits_several_and_changes_nothing(client: httpx.AsyncClient, case: str) -> None:
    before = await stored(client)
    method, path, body = REST[case]
    answer = await client.request(method, path.format(SHORT), json=filled(body, SHORT))
    assert answer.status_code == 422, answer.text
    assert "fits several memories" in answer.json()["error"]["message"]
    assert await stored(client) == before


@pytest.mark.parametrize("case", REST)
async def test_rest_takes_what_fits_one(client: httpx.AsyncClient, case: str) -> None:
    method, path, body = REST[case]
    answer = await client.request(method, path.format(ALONE[:12]), json=filled(body, ALONE[:12]))
    assert answer.status_code == 200, answer.text
