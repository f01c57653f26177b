"""Clients of all kinds against the image beside a real Qdrant: MCP's own SDK, the original's HTTP bridge, 200 at a time."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import anyio
import httpx
import httpx2
import pytest
from benchmarks.http_load import Latencies, Request, connected, search
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from containers.report import Figures
from containers.service import Http
from containers.world import World
from reliability.writers import WORDS
from service_answers import until

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(1800)]

ASSISTANTS = 4
CLIENTS = 200
REQUESTS = 50
EMULATED_REQUESTS = 5
"""Of each client, under emulation."""


async def call(client: Client, tool: str, **arguments: object) -> str:
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    return str(answer.content)


async def test_mcp_s_own_sdk_works_over_two_replicas_behind_the_proxy_and_over_one_that_is_left(world: World) -> None:
    qdrant = world.qdrant()
    replicas = [world.service(qdrant) for _ in range(2)]
    proxy = world.proxy()

    def both_serve() -> bool:
        with proxy.client() as http:
            http.get("/api/memories")
        return all(served(replica, "/api/memories") for replica in replicas)

    await asyncio.to_thread(until, both_serve, seconds=300)

    async def assist(number: int) -> None:
        async with (
            httpx2.AsyncClient(headers=proxy.headers, timeout=120) as http,
            Client(streamable_http_client(f"{proxy.url}/mcp", http_client=http)) as client,
        ):
            assert {"memory_store", "memory_search"} <= {tool.name for tool in (await client.list_tools()).tools}
            for step in range(5):
                await call(
                    client, "memory_store", content=f"Assistant {number} noted the number {step}", tags=["noted"]
                )

    async with anyio.create_task_group() as group:
        for number in range(ASSISTANTS):
            group.start_soon(assist, number)
    assert all(served(replica, "/mcp") for replica in replicas)

    await asyncio.to_thread(replicas[0].stop_gracefully)
    async with (
        httpx2.AsyncClient(headers=proxy.headers, timeout=120) as http,
        Client(streamable_http_client(f"{proxy.url}/mcp", http_client=http)) as client,
    ):
        for _ in range(5):
            found = await call(client, "memory_list", tags=["noted"], page_size=100)
            assert found.count("noted the number") >= 5 * ASSISTANTS
        await call(client, "memory_store", content="Noted when one replica was left", tags=["noted"])


def served(service: Http, route: str) -> float:
    """Requests of this route that it has answered, by its own count."""
    with service.client() as http:
        lines = http.get("/metrics").raise_for_status().text.splitlines()
    counts = [line for line in lines if line.startswith("mcp_memory_http_request_duration_seconds_count")]
    return sum(float(line.rpartition(" ")[2]) for line in counts if f'route="{route}"' in line)


def test_calls_of_the_original_s_http_bridge_are_answered_as_it_expects(world: World) -> None:
    """As its clients make them: JSON-RPC without a session and without an Accept header, the key in either header."""
    service = world.service(world.qdrant())
    with httpx.Client(base_url=service.url, timeout=120) as http:
        del http.headers["accept"]
        hello = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "bridge", "version": "1"}}
        assert http.post("/mcp", json=message("initialize", hello)).status_code == 401
        for path, headers in (("/mcp", service.headers), ("/mcp/", {"X-API-Key": service.key})):
            http.headers.update(headers)
            initialized = http.post(path, json=message("initialize", hello))
            assert initialized.headers["content-type"].startswith("application/json")
            assert initialized.json()["result"]["protocolVersion"] == "2024-11-05"
            told = http.post(path, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
            assert (told.status_code, told.content) == (202, b"")
            for name in headers:
                del http.headers[name]
        http.headers.update(service.headers)
        tools = http.post("/mcp", json=message("tools/list")).json()["result"]["tools"]
        assert {"memory_store", "memory_search", "store_memory", "retrieve_memory", "search_by_tag"} <= {
            tool["name"] for tool in tools
        }
        stored = called(http, "store_memory", content="Anna drinks green tea", metadata={"tags": "anna,drinks"})
        (hash_,) = {word.strip("().") for word in stored.split() if len(word.strip("().")) == 64}
        assert "green tea" in called(http, "retrieve_memory", query="hot beverages", n_results=1)
        assert "green tea" in called(http, "memory_search", query="hot beverages", limit=1)
        assert "green tea" in called(http, "search_by_tag", tags=["anna"])

        assert http.get(f"/api/memories/{hash_}").json()["tags"] == ["anna", "drinks"]
        body = {"content": "Bob bought an electric car", "tags": ["bob"], "memory_type": "event"}
        assert http.post("/api/memories", json=body).json()["success"] is True
        again = http.post("/api/memories", json=body)
        assert (again.status_code, again.json()["success"]) == (200, False)
        found = http.post("/api/search", json={"query": "vehicles", "n_results": 1}).json()["results"]
        assert [hit["memory"]["content"] for hit in found] == [body["content"]]
        tagged = http.post("/api/search/by-tag", json={"tags": ["bob"], "match_all": True}).json()["results"]
        assert [hit["memory"]["content"] for hit in tagged] == [body["content"]]
        assert http.delete(f"/api/memories/{hash_}").json()["success"] is True
        assert http.get(f"/api/memories/{hash_}").status_code == 404
        assert "Bob bought" not in called(http, "delete_memory", content_hash=hash_)


def message(method: str, parameters: Mapping[str, object] | None = None) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, **({"params": parameters} if parameters else {})}


def called(http: httpx.Client, tool: str, **arguments: object) -> str:
    """The text that a tool answers."""
    answer = http.post("/mcp", json=message("tools/call", {"name": tool, "arguments": arguments})).json()
    return "\n".join(part["text"] for part in answer["result"]["content"])


async def test_two_hundred_clients_at_once_keep_their_connections_and_meet_no_error(
    world: World, figures: Figures
) -> None:
    native = world.on.service.native
    settings = {} if native else world.embedding_endpoint().settings()
    service = world.service(world.qdrant(), **settings)
    each = REQUESTS if native else EMULATED_REQUESTS
    latencies: dict[str, list[float]] = defaultdict(list)
    port = int(service.url.rpartition(":")[2])

    async def client(number: int) -> None:
        async with connected(port) as connection:  # one connection for all: where the service closed it, reading fails
            for kind, request in requests(number, each, service.headers):
                began = time.perf_counter()
                await connection.send(request.encode())
                latencies[kind].append(1000 * (time.perf_counter() - began))

    began = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    seconds = time.perf_counter() - began

    counts = Counter({kind: len(taken) for kind, taken in latencies.items()})
    assert counts.total() == CLIENTS * each
    async with service.async_client() as http:
        assert (await http.get("/api/memories")).json()["total"] == counts["store"]
    figures(f"{CLIENTS} clients, {each} requests each", counts.total() / seconds, "requests/s")
    for kind, taken in sorted(latencies.items()):
        sorted_ = Latencies(sorted(taken))
        for percent in (50, 95, 99):
            figures(f"{kind}, p{percent} of {len(taken):,}", sorted_.percentile(percent), "ms")


def requests(client: int, count: int, headers: dict[str, str]) -> Iterator[tuple[str, Request]]:
    """What an assistant asks: two searches and a page of a list for each memory that it stores."""
    dice = random.Random(client)
    for number in range(count):
        about = " ".join(dice.sample(WORDS, 4))
        match number % 4:
            case 0:
                body = {"content": f"{about}, noted by client {client} as number {number}"}
                yield "store", Request("POST", "/api/memories", body, headers)
            case 2:
                yield "list", Request("GET", "/api/memories?page_size=10", headers=headers)
            case _:
                asked = search(about)
                yield "search", Request(asked.method, asked.path, asked.body, headers)
