"""The whole service on a Qdrant server: what a client sees over HTTP when the server fails, and when it comes back."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from memory_server import MemoryServer, memory_server

from fault_proxy import PASS, Fault, FaultProxy, fault_proxy
from mcp_memory.storage.qdrant_server.dropping import drop_collection
from mcp_memory.storage.qdrant_server.options import ServerOptions
from qdrant_backends import alias, server_url
from qdrant_server import own_server
from service_answers import OPEN, error_of, until
from storage_samples import MODEL

pytestmark = pytest.mark.slow
OPEN_SECONDS = 6
DOWN = Fault(reset_before=True)


@contextmanager
def proxy_in_a_thread(target: str) -> Iterator[FaultProxy]:
    """A fault proxy with an event loop of its own: the tests here wait for processes."""
    ready: list[FaultProxy] = []
    began, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with fault_proxy(target) as proxy:
            ready.append(proxy)
            began.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    began.wait()
    try:
        yield ready[0]
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with proxy_in_a_thread(server_url()) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def service(proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryServer]:
    """A service whose requests to Qdrant pass the proxy."""
    base = tmp_path_factory.mktemp("service")
    settings = {
        "MCP_QDRANT_URL": proxy.url,
        "MCP_QDRANT_COLLECTION": alias(base),
        "MCP_QDRANT_TIMEOUT": "2",
        "MCP_BREAKER_SECONDS": str(OPEN_SECONDS),
    }
    with memory_server(base, **settings) as server:
        yield server
    asyncio.run(drop_collection(ServerOptions((server_url(),), MODEL, alias=alias(base))))


@pytest.fixture
def client(service: MemoryServer, proxy: FaultProxy) -> Iterator[httpx.Client]:
    proxy.restart_counting()
    with service.client() as client:
        until(lambda: client.get("/readyz").status_code == 200)
        yield client
    proxy.restart_counting()


def always(fault: Fault) -> Callable[[int, str, str], Fault]:
    return lambda _number, _method, _path: fault


def test_the_breaker_opens_with_the_guides_words_and_closes_when_the_server_is_back(
    client: httpx.Client, proxy: FaultProxy, service: MemoryServer
) -> None:
    kept = client.post("/api/memories", json={"content": "stored before the failure"})
    assert kept.status_code == 200, kept.text
    proxy.restart_counting(always(DOWN))
    for _ in range(5):
        status, code, message = error_of(client.get("/api/memories"))
        assert (status, code) == (503, "storage_unavailable")
        assert proxy.url in message

    asked = proxy.requests
    for answer in (client.get("/api/memories"), client.post("/api/memories", json={"content": "refused"})):
        status, code, message = error_of(answer)
        assert (status, code) == (503, "circuit_open")
        assert OPEN.fullmatch(message), message
        assert 1 <= int(answer.headers["Retry-After"]) <= OPEN_SECONDS
    assert proxy.requests == asked, "a refused request reached the storage"
    assert (client.get("/livez").status_code, client.get("/readyz").status_code) == (200, 503)
    health = client.get("/api/health")
    assert (health.status_code, health.json()["status"]) == (503, "degraded")
    assert 'mcp_memory_circuit_breaker_state{operations="reads"} 2.0' in client.get("/metrics").text

    proxy.restart_counting()
    until(lambda: client.get("/api/memories").status_code == 200)
    assert client.get(f"/api/memories/{kept.json()['content_hash']}").status_code == 200
    assert client.post("/api/memories", json={"content": "stored after the failure"}).status_code == 200
    assert client.get("/readyz").status_code == 200
    changes = re.findall(r'"breaker":"reads","state":"(\w+)"', service.log)
    assert changes[-3:] == ["open", "half_open", "closed"]


def test_bad_input_never_opens_the_breaker(client: httpx.Client) -> None:
    for _ in range(8):
        assert client.post("/api/memories", json={"content": ""}).status_code == 422
        assert client.get(f"/api/memories/{'0' * 64}").status_code == 404
    assert client.get("/api/memories").status_code == 200


def test_readiness_is_a_query_of_the_collection_not_of_the_server(client: httpx.Client, proxy: FaultProxy) -> None:
    gone = Fault(status=404, body=b'{"status":{"error":"Not found: Collection `memories` doesn\'t exist!"}}')
    proxy.restart_counting(lambda _number, _method, path: gone if path.startswith("/collections/") else PASS)
    assert httpx.get(f"{proxy.url}/readyz").status_code == 200, "Qdrant itself says that it is ready"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    proxy.restart_counting()
    until(lambda: client.get("/readyz").status_code == 200)


def test_a_full_disk_of_the_server_is_a_507_and_opens_the_breaker_for_writes_only(
    client: httpx.Client, proxy: FaultProxy
) -> None:
    body = b'{"status":{"error":"Service internal error: No space left on device: WAL buffer size exceeds available disk space"}}'
    full = Fault(status=500, body=body)
    proxy.restart_counting(lambda _n, method, path: full if method == "PUT" and "/points" in path else PASS)
    for number in range(5):
        status, code, message = error_of(client.post("/api/memories", json={"content": f"too much {number}"}))
        assert (status, code) == (507, "storage_full"), message
    assert error_of(client.post("/api/memories", json={"content": "too much"}))[1] == "circuit_open"
    assert client.get("/api/memories").status_code == 200
    assert client.post("/api/search", json={"query": "anything"}).status_code == 200
    proxy.restart_counting()
    until(lambda: client.post("/api/memories", json={"content": "there is space again"}).status_code == 200)


def test_a_server_that_is_too_old_is_named_and_the_service_stays_up(proxy: FaultProxy, tmp_path: Path) -> None:
    def older(body: bytes) -> bytes:
        return re.sub(rb'"version":"[^"]*"', b'"version":"1.17.0"', body)

    proxy.restart_counting(lambda _number, _method, path: Fault(rewrite=older) if path == "/" else PASS)
    settings = {"MCP_QDRANT_URL": proxy.url, "MCP_QDRANT_COLLECTION": alias(tmp_path)}
    with memory_server(tmp_path, probe="/livez", **settings) as server, server.client() as client:
        assert client.get("/readyz").status_code == 503
        status, code, message = error_of(client.post("/api/memories", json={"content": "x"}))
        assert (status, code) == (503, "storage_unavailable")
        assert "is version 1.17.0; this service needs 1.19 or later" in message
        assert "is version 1.17.0" in server.log
        proxy.restart_counting()
        until(lambda: client.get("/readyz").status_code == 200)
    asyncio.run(drop_collection(ServerOptions((server_url(),), MODEL, alias=alias(tmp_path))))


def test_a_wrong_key_is_a_clear_503_and_the_service_stays_up(tmp_path: Path) -> None:
    with own_server(tmp_path / "qdrant", api_key="the-right-key") as qdrant:
        settings = {"MCP_QDRANT_URL": qdrant.url, "MCP_QDRANT_API_KEY": "the-wrong-key"}
        with memory_server(tmp_path / "base", probe="/livez", **settings) as server, server.client() as client:
            for _ in range(2):
                answer = client.post("/api/memories", json={"content": "x"})
                status, code, message = error_of(answer)
                assert (status, code) == (503, "storage_unavailable")
                assert "refused the API key" in message
                assert "MCP_QDRANT_API_KEY" in message
                assert "Retry-After" in answer.headers
            assert client.get("/readyz").status_code == 503
            assert "refused the API key" in server.log
            assert "the-wrong-key" not in server.log + message
            assert server.process.poll() is None


def test_two_services_share_one_collection_through_a_restart_of_the_server(tmp_path: Path) -> None:
    with own_server(tmp_path / "qdrant") as qdrant:
        settings = {"MCP_QDRANT_URL": qdrant.url, "MCP_BREAKER_SECONDS": "1"}
        with (
            ThreadPoolExecutor(2) as both,
            memory_server(tmp_path / "one", **settings) as one,
            memory_server(tmp_path / "two", **settings) as two,
            one.client() as first,
            two.client() as second,
        ):
            texts = [{"content": f"said to both, number {number}"} for number in range(20)]
            outcomes = [
                list(
                    both.map(lambda client, body=text: client.post("/api/memories", json=body).json(), (first, second))
                )
                for text in texts
            ]
            stored = {outcome["content_hash"] for pair in outcomes for outcome in pair}
            assert len(stored) == 20
            assert [sum(outcome["success"] for outcome in pair) for pair in outcomes] == [1] * 20, (
                "one of both stores it"
            )

            qdrant.kill()
            qdrant.start()
            for client in (first, second):
                until(lambda asked=client: asked.get("/readyz").status_code == 200)  # type: ignore[misc]
                listed = client.get("/api/memories", params={"page_size": 50}).json()["memories"]
                assert {memory["content_hash"] for memory in listed} == stored
            hash_ = sorted(stored)[0]
            assert first.delete(f"/api/memories/{hash_}").status_code == 200
            assert second.get(f"/api/memories/{hash_}").status_code == 404
