"""More requests than the service can hold: those too many are told when to come back, and its memory stays bounded."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import psutil
import pytest

from integration.memory_server import MemoryServer, memory_server

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

MEBIBYTE = 1024 * 1024
CLIENTS = 600
BODY = json.dumps({"memories": [{"content": "short", "metadata": {"filler": "x" * 700_000}}]}).encode()
"""0.7 MB: all clients' bodies together would be 420 MB."""


async def post(server: MemoryServer, body: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of one request on a connection of its own, with no more machinery than that."""
    port = int(server.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        "POST /api/memories/bulk HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    finally:
        writer.close()
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split()[1]), headers


def resident(server: MemoryServer) -> int:
    """Of all processes, in bytes; what they share is counted once."""
    master = psutil.Process(server.process.pid)
    return sum(process.memory_full_info().pss for process in [master, *master.children(recursive=True)])


async def test_overload_is_answered_with_503_and_retry_after_and_memory_stays_bounded(tmp_path: Path) -> None:
    with memory_server(tmp_path, MCP_HTTP_MAX_CONCURRENCY="4") as server:
        assert (await post(server, BODY))[0] == 200
        before = highest = await asyncio.to_thread(resident, server)
        requests = [asyncio.create_task(post(server, BODY)) for _ in range(CLIENTS)]
        while not all(request.done() for request in requests):
            await asyncio.wait(requests, timeout=0.1)
            highest = max(highest, await asyncio.to_thread(resident, server))
        answers = await asyncio.gather(*requests)
        statuses = Counter(status for status, _ in answers)
        assert set(statuses) == {200, 503}, statuses
        assert statuses[200] >= 16, statuses
        assert all(int(headers["retry-after"]) >= 1 for status, headers in answers if status == 503)
        assert highest - before < 150 * MEBIBYTE, f"{before / MEBIBYTE:.0f} MB grew to {highest / MEBIBYTE:.0f} MB"
        assert (await post(server, BODY))[0] == 200
