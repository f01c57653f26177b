"""Data that lies beside an empty store is pointed out wherever somebody would look for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from memory_server import environment, free_port, memory_server

pytestmark = pytest.mark.slow


def run(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mcp_memory.cli", *arguments],
        env=environment(base, free_port()),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def first_texts(client: httpx.Client) -> list[str]:
    """What an assistant reads after calling a tool."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "memory_list", "arguments": {}}}
    answer = client.post(
        "/mcp", json=call, headers={"Accept": "application/json, text/event-stream"}, timeout=60
    ).raise_for_status()
    lines = [line.removeprefix("data:").strip() for line in answer.text.splitlines() if line.startswith(("data:", "{"))]
    message: dict[str, Any] = json.loads(next(line for line in lines if line))
    return [content["text"] for content in message["result"]["content"]]


def test_older_data_beside_an_empty_store_is_told_to_whoever_looks(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "sqlite_vec.db").touch()
    with memory_server(base) as server, server.client() as client:
        assert (base / "qdrant" / "manifest.json").exists()  # a store, and an empty one
        texts = first_texts(client)
        assert "memory migrate sqlite --source" in texts[-1], texts
        assert len(first_texts(client)) == len(texts) - 1
        for looking in (("list",), ("search", "anything"), ("list", "--json")):
            told = run(base, *looking)
            assert "memory migrate sqlite --source" in told.stderr, told
            assert "memory migrate" not in told.stdout
        assert "Nearby" in run(base, "doctor").stdout
        client.post("/api/memories", json={"content": "The first one"}).raise_for_status()
        assert "memory migrate" not in run(base, "search", "--tag", "none").stderr
