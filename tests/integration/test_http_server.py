"""The server as a newcomer meets it: the guide's lines, connections, signals, processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import time
from pathlib import Path

import httpx
import psutil
import pytest

from integration.memory_server import MemoryServer, free_port, memory_server, run_until_it_ends

pytestmark = [pytest.mark.slow, pytest.mark.anyio]


def test_health_is_the_guides_answer(server: MemoryServer) -> None:
    with server.client() as client:
        answer = client.get("/api/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "storage": {"backend": "qdrant", "status": "healthy", "collections": 1, "vector_dimensions": 384},
    }


def test_storage_stats_are_the_guides_four_keys_first(server: MemoryServer) -> None:
    with server.client() as client:
        before = client.get("/api/storage/stats").json()
        client.post("/api/memories", json={"content": "The stats count this"}).raise_for_status()
        after = client.get("/api/storage/stats").json()
    assert list(after)[:4] == ["vectors_count", "indexed_vectors_count", "disk_data_size", "ram_data_size"]
    assert after["vectors_count"] == before["vectors_count"] + 1
    assert after["indexed_vectors_count"] == after["vectors_count"]
    assert after["disk_data_size"] > 0 < after["ram_data_size"]


def test_meaning_is_found(server: MemoryServer) -> None:
    texts = [
        "The cat sleeps on the warm windowsill",
        "Quarterly revenue grew by nine percent",
        "Boil the pasta in salted water",
    ]
    with server.client() as client:
        client.post("/api/memories/bulk", json={"memories": [{"content": text} for text in texts]}).raise_for_status()
        for query, text in [("a feline napping", 0), ("company earnings", 1), ("how to cook noodles", 2)]:
            hits = client.post("/api/search", json={"query": query, "n_results": 1}).json()["results"]
            assert hits[0]["memory"]["content"] == texts[text]


def test_one_connection_serves_many_requests(server: MemoryServer) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock, sock.makefile("rb") as reader:
        for _ in range(20):
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" in reader.readline()
            length = 0
            while (line := reader.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert reader.read(length) == b'{"status":"ok"}'


async def test_a_thousand_requests_at_a_time_are_all_answered(server: MemoryServer) -> None:
    limits = httpx.Limits(max_connections=1000)
    async with server.async_client(limits=limits) as client:

        async def one(number: int) -> int:
            if number % 4 == 0:
                answer = await client.post("/api/memories", json={"content": f"One of a thousand: {number}"})
            else:
                answer = await client.post("/api/search", json={"query": f"thousand {number}", "n_results": 3})
            if answer.status_code == 503:
                assert int(answer.headers["retry-after"]) >= 1
            return answer.status_code

        statuses = await asyncio.gather(*(one(number) for number in range(1000)))
        assert set(statuses) == {200}
        listed = (await client.get("/api/memories", params={"page_size": 1})).json()["total"]
        assert listed >= 250


def test_request_ids_come_back_and_stand_in_the_log(server: MemoryServer) -> None:
    with server.client() as client:
        answer = client.get("/api/tags", headers={"X-Request-ID": "find-me-123"})
        assert answer.headers["x-request-id"] == "find-me-123"
        forged = client.get("/api/tags", headers={"X-Request-ID": 'x" , "level": "critical'})
        assert len(forged.headers["x-request-id"]) == 32
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert [line["path"] for line in lines if line.get("request_id") == "find-me-123"] == ["/api/tags"]


def test_metrics_count_by_route_and_tell_the_size_of_the_store(server: MemoryServer) -> None:
    with server.client() as client:
        client.get("/api/memories/" + "0" * 64)
        client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
        text = client.get("/metrics").text
    assert 'http_request_duration_seconds_count{method="GET",route="/api/memories/{content_hash}",status="404"}' in text
    assert 'http_request_duration_seconds_count{method="POST",route="/mcp",status="200"}' in text
    assert "0" * 64 not in text
    for name in [
        "storage_operation_duration_seconds_bucket",
        "embedding_inference_duration_seconds_bucket",
        "embedding_batch_size_bucket",
        'circuit_breaker_state{operations="writes"} 0.0',
        "mcp_memory_memories ",
        "mcp_memory_indexed_vectors ",
        "mcp_memory_build_info{",
    ]:
        assert name in text


def test_docs_need_nothing_from_elsewhere(server: MemoryServer) -> None:
    with server.client(follow_redirects=True) as client:
        page = client.get("/").text
    assert "openapi.json" in page
    assert "http://" not in page
    assert "https://" not in page


def test_files_are_the_users_own(server: MemoryServer) -> None:
    store = server.folder / "qdrant"
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    for path in store.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_log_is_free_of_warnings(server: MemoryServer) -> None:
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert lines
    assert [line for line in lines if line["level"] in {"warning", "error", "critical"}] == []


def test_sigterm_ends_all_processes_with_status_0(tmp_path: Path) -> None:
    with memory_server(tmp_path) as server:
        processes = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
        assert len(processes) == 3
        assert server.stop() == 0
        _, alive = psutil.wait_procs(processes, timeout=20)
        assert alive == [], server.log


def test_a_killed_master_takes_its_worker_with_it(tmp_path: Path) -> None:
    with memory_server(tmp_path) as server:
        children = psutil.Process(server.process.pid).children(recursive=True)
        server.process.kill()
        _, alive = psutil.wait_procs(children, timeout=20)
        assert alive == []


def test_a_killed_worker_is_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    with memory_server(tmp_path) as server, server.client() as client:
        stored = client.post("/api/memories", json={"content": "survives"}).json()["content_hash"]
        worker = psutil.Process(server.process.pid).children()[0]
        worker.kill()
        worker.wait(10)
        server.wait_until_ready()
        assert httpx.get(f"{server.url}/api/memories/{stored}", timeout=60).status_code == 200


@pytest.mark.timed
async def test_sigterm_under_load_finishes_what_was_begun(tmp_path: Path) -> None:
    with memory_server(tmp_path) as server:
        acknowledged: list[str] = []
        cut_off: list[str] = []
        stopping, under_way = asyncio.Event(), asyncio.Event()

        async def writer(client: httpx.AsyncClient, name: int) -> None:
            for number in range(10_000):
                if stopping.is_set():
                    return
                request = f"writer-{name}-memory-{number}"
                try:
                    answer = await client.post(
                        "/api/memories", json={"content": request}, headers={"X-Request-ID": request}
                    )
                except httpx.ConnectError:
                    return
                except (httpx.ReadError, httpx.RemoteProtocolError):
                    cut_off.append(request)  # sent while the server closed the idle connection, or begun: its log knows
                    return
                if answer.status_code == 200:
                    acknowledged.append(answer.json()["content_hash"])
                if len(acknowledged) >= 40:
                    under_way.set()

        async with server.async_client() as client:
            tasks = [asyncio.create_task(writer(client, name)) for name in range(8)]
            await asyncio.wait_for(under_way.wait(), 60)
            started = time.monotonic()
            code = await asyncio.to_thread(server.stop)
            stopping.set()
            await asyncio.gather(*tasks)
        assert code == 0, server.log
        assert time.monotonic() - started < 10
        assert '"writer-0-memory-0"' in server.log, "requests aren't logged by their ids"
        begun = [request for request in cut_off if f'"{request}"' in server.log]
        assert not begun, "requests were begun, and their clients were never told of their end"
    with memory_server(tmp_path) as again, again.client() as client:
        stored: set[str] = set()
        cursor = None
        while True:
            page = client.get("/api/memories/hashes", params={"cursor": cursor} if cursor else {}).json()
            stored |= set(page["hashes"])
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert set(acknowledged) <= stored


def test_a_port_in_use_is_named_with_its_variable(server: MemoryServer, tmp_path: Path) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    ended = run_until_it_ends(tmp_path, port)
    assert ended.returncode == 78
    assert f"Port {port}" in ended.stderr
    assert "MCP_HTTP_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_open_address_without_a_key_is_refused(tmp_path: Path) -> None:
    ended = run_until_it_ends(tmp_path, free_port(), MCP_HTTP_HOST="0.0.0.0")
    assert ended.returncode == 78
    assert "MCP_API_KEY" in ended.stderr
    assert "MCP_ALLOW_ANONYMOUS_ACCESS" in ended.stderr
    assert not (tmp_path / "qdrant" / "shards").exists()


def test_secrets_never_reach_the_log(tmp_path: Path) -> None:
    key = 'a-very "secret" key'
    with memory_server(tmp_path, MCP_API_KEY=key, LOG_LEVEL="debug") as server, server.client() as client:
        assert client.get("/api/tags", headers={"X-API-Key": key}).status_code == 200
        assert client.get("/api/tags", params={"api_key": key}).status_code == 401
        assert "very" not in server.log
        for process in [
            psutil.Process(server.process.pid),
            *psutil.Process(server.process.pid).children(recursive=True),
        ]:
            assert "very" not in " ".join(process.cmdline())


def test_two_workers_share_one_store_and_one_count_of_requests(tmp_path: Path) -> None:
    with memory_server(tmp_path, WEB_CONCURRENCY="2") as server:
        for number in range(20):  # a new connection each: either worker may take it
            httpx.post(
                f"{server.url}/api/memories", json={"content": f"memory {number}"}, timeout=60
            ).raise_for_status()
        assert httpx.get(f"{server.url}/api/memories", timeout=60).json()["total"] == 20
        metrics = httpx.get(f"{server.url}/metrics", timeout=60).text
        counted = [
            line
            for line in metrics.splitlines()
            if 'duration_seconds_count{method="POST",route="/api/memories"' in line
        ]
        assert sum(float(line.rsplit(" ", 1)[1]) for line in counted) == 20
        assert os.kill(server.process.pid, signal.SIGTERM) is None
        assert server.process.wait(30) == 0
