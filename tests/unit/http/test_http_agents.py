"""Who stored a memory: kept, and found again, whichever way it came in."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from small_application import Connect

from mcp_memory.domain.foreign import RawMemory, convert

pytestmark = pytest.mark.anyio


async def call(client: httpx.AsyncClient, name: str, arguments: dict[str, object], agent: bytes = b"") -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    headers = {b"Accept": b"application/json, text/event-stream"} | ({b"X-Agent-ID": agent} if agent else {})
    answer = await client.post("/mcp", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize("tags", [["x"], "x", '["x"]', "['x']", None])
@pytest.mark.parametrize("agent", ["planner", "Zoë", "山田"])
async def test_the_agent_of_the_header_is_kept_and_found(client: httpx.AsyncClient, tags: Any, agent: str) -> None:
    answer = await client.post(
        "/api/memories", json={"content": "by an agent", "tags": tags}, headers={b"X-Agent-ID": agent.encode()}
    )
    memory = answer.json()["memory"]
    assert memory["metadata"] == {"agent_id": agent}
    assert memory["tags"] == [*(["x"] if tags else []), f"agent:{agent.lower()}"]
    assert (await client.get("/api/memories", params={"tag": f"agent:{agent}"})).json()["total"] == 1


async def test_the_header_counts_over_mcp_where_the_call_names_no_agent(client: httpx.AsyncClient) -> None:
    await call(client, "memory_store", {"content": "by the header"}, "Zoë".encode())
    await call(client, "memory_store", {"content": "by the call", "agent_id": "other"}, b"header")
    listed = (await client.get("/api/memories")).json()["memories"]
    assert [memory["metadata"]["agent_id"] for memory in listed] == ["other", "Zoë"]
    assert "by the header" in await call(client, "memory_search", {"agent_id": "Zoë"})
    assert "by the call" not in await call(client, "memory_search", {"agent_id": "Zoë"})


async def test_the_service_s_own_agent_stores_what_names_none(connect: Connect) -> None:
    client = await connect(agent_id="house")
    for number, (metadata, headers) in enumerate(
        [({}, {}), ({"agent_id": "mine"}, {}), ({"agent_id": "mine"}, {"X-Agent-ID": "header"})]
    ):
        await client.post("/api/memories", json={"content": f"memory {number}", "metadata": metadata}, headers=headers)
    listed = (await client.get("/api/memories")).json()["memories"]
    assert [memory["metadata"]["agent_id"] for memory in listed] == ["header", "mine", "house"]
    assert [memory["tags"] for memory in listed] == [["agent:header"], ["agent:mine"], ["agent:house"]]


def test_a_foreign_memory_s_agent_is_found_by_its_tag() -> None:
    memory, _ = convert(
        RawMemory(content="brought along", tags="a", metadata='{"agent_id": "Planner"}'), fallback_time=1.0
    )
    assert (memory.tags, memory.metadata["agent_id"]) == (("a", "agent:planner"), "Planner")
    odd, _ = convert(RawMemory(content="brought along", metadata={"agent_id": "a, b"}), fallback_time=1.0)
    assert (odd.tags, odd.metadata["agent_id"]) == ((), "a, b")


@pytest.mark.parametrize("tags", [["x"], "x", None])
async def test_the_machine_that_a_client_names_is_kept_and_found(client: httpx.AsyncClient, tags: Any) -> None:
    answer = await client.post(
        "/api/memories", json={"content": "from a laptop", "tags": tags}, headers={"X-Client-Hostname": "Laptop-7"}
    )
    memory = answer.json()["memory"]
    assert memory["metadata"] == {"hostname": "Laptop-7"}
    assert memory["tags"] == [*(["x"] if tags else []), "source:laptop-7"]
    bulk = {"memories": [{"content": "one of many"}, {"content": "another's", "client_hostname": "desk"}]}
    await client.post("/api/memories/bulk", json=bulk, headers={"X-Client-Hostname": "Laptop-7"})
    found = await client.get("/api/memories", params={"tag": "source:Laptop-7"})
    assert {each["content"] for each in found.json()["memories"]} == {"from a laptop", "one of many"}
    assert (await client.get("/api/memories", params={"tag": "source:desk"})).json()["total"] == 1


async def test_the_machine_counts_over_mcp_by_argument_or_header(client: httpx.AsyncClient) -> None:
    for name, content in (("memory_store", "new name"), ("store_memory", "old name")):
        await call(client, name, {"content": content, "client_hostname": "desk"})
    body = {"name": "memory_store", "arguments": {"content": "by the header"}}
    answer = await client.post(
        "/mcp",
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": body},
        headers={"Accept": "application/json, text/event-stream", "X-Client-Hostname": "desk"},
    )
    assert answer.status_code == 200
    assert (await client.get("/api/memories", params={"tag": "source:desk"})).json()["total"] == 3


async def test_a_machine_s_name_that_no_tag_can_hold_is_refused_by_name(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/memories", json={"content": "x"}, headers={"X-Client-Hostname": "a,b"})
    assert answer.status_code == 422
    assert "source:a,b" in answer.json()["error"]["message"]
    assert (await client.get("/api/memories")).json()["total"] == 0
