"""Searches through HTTP, embedding included, over real texts whose vectors come from the cache."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.embedded_corpus import EmbeddedCorpus
from benchmarks.http_load import Latencies, Request, connected, meanwhile, one_by_one, rate, search
from benchmarks.server import MEBIBYTE, Server, serving
from benchmarks.table import Table
from mcp_memory.domain.memory import content_hash
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions

QUERIES = 500
QUERY_WORDS = 7
CLIENTS = 8
SECONDS = 8.0
BATCH = 2_048
RECALL_SAMPLES = 200
LOADED = 4_000
BULK = 250
CHEAPEST = Request("GET", f"/api/memories/{content_hash('what is asked for again and again')}")
"""Answered by 404: the way to the storage and back, and nothing else."""
FREEZE = "<= 50 ms at most"


def measure(folder: Path, corpus: EmbeddedCorpus, count: int, *, quantized: bool) -> None:
    """Fill a store with `count` memories (variations where texts don't suffice), and search it as it is then and, where that
    changes it, optimised."""
    kind = ", binary quantization" if quantized else ""
    table = Table(f"Searching {count:,} memories through HTTP{kind}")
    seconds = asyncio.run(_fill(folder / "qdrant", corpus, count, quantized=quantized))
    table.row("filling the store, vectors given", f"{count / seconds:,.0f} memories/s", ">= 5,000/s")
    variables = {"MCP_QDRANT_QUANTIZATION_ENABLED": str(quantized).lower(), "MCP_QDRANT_GRAPH_THRESHOLD": "0"}
    queries = _queries(corpus)
    with serving(folder, **variables) as server:
        table.row("`memory server` on this store to the first healthy answer", f"{server.seconds_to_healthy:.2f} s")
        flat = _searches(server, table, "", queries, count, quantized=quantized)
    variables.pop("MCP_QDRANT_GRAPH_THRESHOLD")
    with serving(folder, **variables) as server:
        started = time.perf_counter()
        optimise = asyncio.to_thread(server.memory, "optimize", "--json")
        done, waits = asyncio.run(meanwhile(server.port, CHEAPEST, optimise, skip=1.0))
        report = json.loads(done.stdout)
        if report["changed"]:
            table.row("`memory optimize`", f"{time.perf_counter() - started:.0f} s", "", report["message"])
            table.row("the cheapest request meanwhile", _longest(waits), FREEZE)
            _searches(server, table, ", optimised", queries, count, quantized=quantized, before=flat)


def _searches(
    server: Server,
    table: Table,
    state: str,
    queries: list[str],
    count: int,
    *,
    quantized: bool,
    before: Latencies | None = None,
) -> Latencies:
    wanted = "<= 12 ms" if state else "<= 45 ms"
    targets = {100_000: ("<= 8 ms", ">= 150/s"), 1_000_000: (wanted, "")}.get(count, ("", ""))
    originals = ("the original: 232 ms", "the original: 5/s") if count == 100_000 else ("", "")
    asyncio.run(one_by_one(server.port, map(search, queries[:50])))
    hybrid = asyncio.run(one_by_one(server.port, map(search, queries)))
    compared = originals[0] if before is None else f"{_ratio(hybrid, before)} of the flat scan's"
    table.row(f"hybrid{state}", str(hybrid), targets[0], compared)
    for name, request in _variants().items():
        latencies = asyncio.run(one_by_one(server.port, map(request, queries)))
        table.row(f"{name}{state}", str(latencies), "", f"{_ratio(latencies, hybrid)} of hybrid's p50")
    cpu = server.cpu_seconds()
    throughput, latencies = asyncio.run(
        rate(
            server.port,
            clients=CLIENTS,
            seconds=SECONDS,
            request=lambda number: search(f"{queries[number % len(queries)]} {number}"),
        )
    )
    cpu = 1000 * (server.cpu_seconds() - cpu) / len(latencies.values)
    measured = f"{throughput:.0f} searches/s, {latencies}, {cpu:.1f} ms CPU each"
    table.row(f"hybrid, {CLIENTS} clients{state}", measured, targets[1], originals[1])
    recall = json.loads(server.memory("doctor", "--recall", str(RECALL_SAMPLES), "--json").stdout)["recall"]
    table.row(
        f"recall@10 against exact search{state}", f"{recall['recall']:.4f}", ">= 0.95" if quantized else ">= 0.99"
    )
    held = server.held()
    table.row(
        f"memory after that{state}",
        f"{held.pss / MEBIBYTE:.0f} MiB PSS ({held.rss / MEBIBYTE:.0f} MiB RSS)",
        "",
        held.by_process,
    )
    asyncio.run(_storing_here(server, table, state))
    asyncio.run(_freezes(server, table, state))
    return hybrid


async def _freezes(server: Server, table: Table, state: str) -> None:
    """How long the cheapest request takes while many memories are stored, and while they are deleted."""

    async def store() -> None:
        async with connected(server.port) as connection:
            for start in range(0, LOADED, BULK):
                notes = [
                    {"content": f"Note {number}{state}, one of many", "tags": ["many"]}
                    for number in range(start, start + BULK)
                ]
                await connection.ask(Request("POST", "/api/memories/bulk", {"memories": notes}))

    async def delete() -> None:
        async with connected(server.port) as connection:
            await connection.ask(Request("POST", "/api/memories/delete", {"tags": ["many"]}))

    for what, work in (
        (f"{LOADED:,} are stored, {BULK} a request", store),
        (f"{LOADED:,} are deleted by their tag", delete),
    ):
        _, waits = await meanwhile(server.port, CHEAPEST, work())
        table.row(f"the cheapest request while {what}{state}", _longest(waits), FREEZE)


def _longest(waits: Latencies) -> str:
    return f"{waits}, {waits.values[-1]:.1f} ms at most"


def _variants() -> dict[str, Callable[[str], Request]]:
    return {
        "semantic": lambda query: search(query, mode="semantic"),
        "keyword": lambda query: search(query, mode="keyword"),
        "hybrid, one query again and again": lambda _: search("how do I open a file for writing"),
        "hybrid, a tag": lambda query: search(query, tags=["manual"]),
        "hybrid, a year": lambda query: search(query, after="2025-01-01", before="2026-01-01"),
    }


async def _storing_here(server: Server, table: Table, state: str) -> None:
    notes = (
        Request("POST", "/api/memories", {"content": f"A note{state} number {number} on a store of this size"})
        for number in range(100)
    )
    table.row(
        f"storing one sentence{state}", str(await one_by_one(server.port, notes)), "<= 15 ms", "the original: 47 ms"
    )
    async with connected(server.port) as connection:
        stats = await connection.ask(Request("GET", "/api/storage/stats"))
    table.row(f"the store on disk{state}", f"{stats['disk_data_size'] / MEBIBYTE:.0f} MiB")


async def _fill(path: Path, corpus: EmbeddedCorpus, count: int, *, quantized: bool) -> float:
    """Seconds; the same path as import and migration take when they have vectors."""
    options = EmbeddedOptions(path=path, model=corpus.identity, quantization=quantized, graph_threshold=0)
    storage = QdrantEmbeddedStorage(options)
    memories = corpus.memories(count)
    batch = []
    await storage.initialize()
    started = time.perf_counter()
    for number, memory in enumerate(memories, 1):
        batch.append(memory)
        if len(batch) == BATCH or number == count:
            await storage.upsert(batch)
            batch = []
        if number == count:
            break
    seconds = time.perf_counter() - started
    await storage.close()
    return seconds


def _queries(corpus: EmbeddedCorpus) -> list[str]:
    """Some words in a row of texts all over the corpus: what somebody remembers of a memory."""
    step = max(1, len(corpus.texts) // QUERIES)
    queries = []
    for text in corpus.texts[::step][:QUERIES]:
        words = text["content"].split()
        start = max(0, len(words) // 2 - QUERY_WORDS // 2)
        queries.append(" ".join(words[start : start + QUERY_WORDS]))
    return queries


def _ratio(part: Latencies, whole: Latencies) -> str:
    return f"{part.percentile(50) / whole.percentile(50):.2f}"
