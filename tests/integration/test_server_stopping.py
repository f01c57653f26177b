"""SIGTERM to the real server while requests outlast their time: clients are told, and nothing is half stored."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from integration.memory_server import MemoryServer, environment, free_port, memory_server

pytestmark = pytest.mark.slow
GRACE = 2


def long_text(name: str, number: int) -> str:
    """3,000 characters that no cache knows: three windows of the model."""
    words = " ".join(f"the boiler of house {number} was mended on day {day}" for day in range(100))
    return f"{name} {number}: {words}"[:3000]


def wait_for_a_slice(server: MemoryServer) -> None:
    deadline = time.monotonic() + 120
    with server.client() as client:
        while time.monotonic() < deadline:
            if client.get("/api/memories").json()["total"]:
                return
            time.sleep(0.05)
    raise AssertionError(f"nothing was stored:\n{server.log}")


def test_who_is_cut_short_is_told_and_sends_again_and_nothing_is_half_stored(tmp_path: Path) -> None:
    base = tmp_path / "base"
    lines = tmp_path / "memories.jsonl"
    imported = [long_text("import", number) for number in range(40)]
    lines.write_text("".join(json.dumps({"content": text}) + "\n" for text in imported), encoding="utf-8")
    sent = [long_text("rest", number) for number in range(120)]  # no machine embeds them within the time
    answers: list[httpx.Response] = []
    with memory_server(base, MCP_GRACEFUL_TIMEOUT=str(GRACE)) as server:

        def store() -> None:
            with server.client() as client:
                body = {"memories": [{"content": text} for text in sent]}
                answers.append(client.post("/api/memories/bulk", json=body, timeout=240))

        asking = threading.Thread(target=store)
        asking.start()
        thin = subprocess.Popen(
            [sys.executable, "-m", "mcp_memory.cli", "import", str(lines)],
            env=environment(base, free_port(), MCP_OWNER_IDLE_SECONDS="5"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        wait_for_a_slice(server)
        started = time.monotonic()
        assert server.stop(timeout=60) == 0
        assert time.monotonic() - started < GRACE + 10
        asking.join(60)
        assert "Traceback" not in server.log
    told = answers[0]
    assert told.status_code == 503, told.text
    assert told.headers["retry-after"] == "1"
    assert told.json()["error"]["code"] == "stopping"
    output, _ = thin.communicate(timeout=240)  # the thin client brought up another owner and sent its lines again
    assert thin.returncode == 0, output
    with memory_server(base) as again, again.client() as client:
        there = {memory["content"]: memory for memory in everything(client)}
        assert set(imported) <= set(there)
        assert set(there) - set(imported) < set(sent)
        for text in sorted(set(there) & set(sent))[:20]:  # whole: found by its meaning too
            hits = client.post("/api/search", json={"query": text[:200], "mode": "semantic", "limit": 10}).json()
            assert there[text]["content_hash"] in [hit["memory"]["content_hash"] for hit in hits["results"]]
        some = [*sent[:3], *sent[-3:]]
        answer = client.post("/api/memories/bulk", json={"memories": [{"content": text} for text in some]}, timeout=240)
        assert answer.json()["stored"] == len(some) - len(set(there) & set(some))


def everything(client: httpx.Client) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    cursor = None
    while True:
        page = client.get("/api/memories", params={"page_size": 100} | ({"cursor": cursor} if cursor else {})).json()
        found += page["memories"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found
