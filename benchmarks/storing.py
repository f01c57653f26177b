"""What writing costs through HTTP and through `memory import`: durable, embedding included."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.http_load import Request, connected, one_by_one, rate
from benchmarks.server import Server, serving
from benchmarks.table import Table

ONE_BY_ONE = 300
NOTES = 1_000
BULK = 250
SHORT = "Deploy {} of the billing service happens on Tuesday, ask Priya before touching the queue"


def measure(folder: Path, texts: list[dict[str, Any]]) -> None:
    """`texts` are distinct REST memory objects, at least 2,000 of them."""
    table = Table("Storing, through HTTP, durable, embedding included")
    with serving(folder) as server:
        asyncio.run(_over_http(server, table, texts[:NOTES]))
        _import(server, table, folder, texts[NOTES : 2 * NOTES])


async def _over_http(server: Server, table: Table, texts: list[dict[str, Any]]) -> None:
    notes = (_store(SHORT.format(number)) for number in range(ONE_BY_ONE))
    table.row("one sentence at a time", str(await one_by_one(server.port, notes)), "<= 15 ms", "the original: 47 ms")
    paragraphs = (_store(text["content"]) for text in texts[:ONE_BY_ONE])
    mean = sum(len(text["content"]) for text in texts[:ONE_BY_ONE]) / ONE_BY_ONE
    table.row(f"one paragraph at a time ({mean:.0f} characters)", str(await one_by_one(server.port, paragraphs)))
    stored, latencies = await rate(
        server.port, clients=8, seconds=5, request=lambda number: _store(SHORT.format(f"{number} of eight clients"))
    )
    table.row("one sentence at a time, 8 clients", f"{stored:.0f} memories/s, {latencies}")
    for name, contents in (
        (f"sentences, {BULK} a request", [SHORT.format(f"{number} in bulk") for number in range(NOTES)]),
        (f"paragraphs, {BULK} a request", [f"{text['content']} (in bulk)" for text in texts]),
    ):
        table.row(name, f"{await _bulk(server, contents):.0f} memories/s")


async def _bulk(server: Server, contents: list[str]) -> float:
    async with connected(server.port) as connection:
        started = time.perf_counter()
        for start in range(0, len(contents), BULK):
            items = [{"content": content} for content in contents[start : start + BULK]]
            answer = await connection.ask(Request("POST", "/api/memories/bulk", {"memories": items}))
            assert answer["stored"] == len(items), answer
        return len(contents) / (time.perf_counter() - started)


def _import(server: Server, table: Table, folder: Path, texts: list[dict[str, Any]]) -> None:
    file = folder / "import.jsonl"
    file.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    for what in (f"`memory import`, {len(texts):,} paragraphs", "the same again: all are there"):
        started = time.perf_counter()
        server.memory("import", str(file))
        table.row(what, f"{len(texts) / (time.perf_counter() - started):.0f} memories/s")


def _store(content: str) -> Request:
    return Request("POST", "/api/memories", {"content": content, "tags": ["benchmark"]})
