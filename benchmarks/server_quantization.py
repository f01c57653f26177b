"""Recall, memory and latency of each kind of quantization on a Qdrant server, switched on live data.

usage: QDRANT_BIN=qdrant python -m benchmarks.server_quantization N [--perturbed M] [--kinds none,binary,int8,turbo2,turbo4]
                                                                  [--folder FOLDER] [--steps fill,switch,measure] [--no-graph]

N real texts with their vectors (benchmarks.embedded_corpus). With --perturbed, M memories in all, those beyond the N real ones
variations of them. The last 300 real texts are queries and are not stored; truth is an exact scan of the server. Memory is the
server's after a restart and 300 searches.

A million memories are indexed for half an hour: with --folder the server's storage stays, and the steps can be run one by one; a
fill that was cut off goes on. --no-graph scans flat: what quantization alone costs and saves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qdrant_client import AsyncQdrantClient, models

from benchmarks.embedded_corpus import load
from benchmarks.server_process import ServerProcess
from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.domain.query import EVERYTHING, SearchMode, SearchQuery
from mcp_memory.storage.qdrant_server import tuning
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.options import ServerOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUERIES = 300
BATCH = 1_000
PATIENCE = 3_600
"""Seconds a request may take."""
HEAD = (
    "| kind | oversampling | recall@10 | p50 ms | p95 ms | quantized MB | collection RAM MB | process anonymous MB | "
    "process mapped MB | disk MB | switched in s |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


async def fill(storage: QdrantServerStorage, items: Iterator[EmbeddedMemory]) -> tuple[int, float]:
    """How many were stored, in how many seconds."""
    started, count = time.perf_counter(), 0
    batch: list[EmbeddedMemory] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            await storage.upsert(batch)
            count, batch = count + len(batch), []
    await storage.upsert(batch)
    return count + len(batch), time.perf_counter() - started


async def nearest(
    storage: QdrantServerStorage, vectors: NDArray[np.float32], *, exact: bool = False
) -> tuple[list[set[str]], list[float]]:
    """The ten nearest of each, and milliseconds a search."""
    found, milliseconds = [], []
    for vector in vectors:
        started = time.perf_counter()
        hits = await storage.search(SearchQuery(SearchMode.SEMANTIC, None, vector, limit=10, exact_scan=exact))
        milliseconds.append((time.perf_counter() - started) * 1e3)
        found.append({hit.memory.id for hit in hits})
    return found, milliseconds


async def load_memories(
    server: ServerProcess, options: ServerOptions, items: Iterator[EmbeddedMemory], *, graph: bool
) -> None:
    """Store what isn't there yet, then index once: a graph for each tier on the way would be built for nothing."""
    storage = QdrantServerStorage(replace(options, prefer_grpc=True, grpc_port=server.grpc_port))
    await storage.initialize()
    client = AsyncQdrantClient(server.url, timeout=PATIENCE)
    await client.update_collection(options.alias, optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0))
    there = await storage.count(EVERYTHING)
    stored, seconds = await fill(storage, islice(items, there, None))
    m = tuning.hnsw_m(there + stored) if graph else 0  # said for both: a folder may have been filled the other way
    diff = models.VectorParamsDiff(hnsw_config=models.HnswConfigDiff(m=m))
    await client.update_collection(options.alias, vectors_config={options.model.vector_name: diff})
    wanted = tuning.indexing_kilobytes(options.model.dimensions, shards=1)
    await client.update_collection(
        options.alias, optimizers_config=models.OptimizersConfigDiff(indexing_threshold=wanted)
    )
    report = await storage.optimize()
    await client.close()
    await storage.close()
    print(
        f"{there:,} memories were there, {stored:,} stored in {seconds:.0f} s ({stored / seconds:.0f}/s); {report.message}"
    )
    print(f"indexing went on for {report.seconds:.0f} s after the last was stored\n", flush=True)


async def switch(options: ServerOptions, kind: str) -> float:
    """Seconds until all that is stored is quantized in this way, and oversampling measured."""
    storage = QdrantServerStorage(of_kind(options, kind))
    await storage.initialize()
    started = time.perf_counter()
    await storage.set_quantization(None if kind == "none" else kind)
    seconds = time.perf_counter() - started
    await storage.close()
    return seconds


def of_kind(options: ServerOptions, kind: str) -> ServerOptions:
    wanted = kind != "none"
    return replace(options, quantization=wanted, quantization_kind=kind if wanted else "binary")


async def nearest_by_scan(storage: QdrantServerStorage, vectors: NDArray[np.float32], file: Path) -> list[set[str]]:
    """The true ten nearest of each, kept in `file`."""
    if not await asyncio.to_thread(file.exists):
        truth, _ = await nearest(storage, vectors, exact=True)
        await asyncio.to_thread(file.write_text, json.dumps([sorted(ids) for ids in truth]))
    return [set(ids) for ids in json.loads(await asyncio.to_thread(file.read_text))]


async def measure(server: ServerProcess, options: ServerOptions, kind: str, vectors: NDArray[np.float32]) -> str:
    """A line of the table but for its last column."""
    storage = QdrantServerStorage(of_kind(options, kind))
    await storage.initialize()
    truth = await nearest_by_scan(storage, vectors, server.folder / "truth.json")
    server.restart()
    await nearest(storage, vectors)
    found, milliseconds = await nearest(storage, vectors)
    recall = sum(len(a & b) for a, b in zip(truth, found, strict=True)) / sum(map(len, truth))
    anonymous, mapped = server.memory()
    stats = await storage.stats()
    quantized = int(str(stats.details["quantized_ram_bytes"]))
    await storage.close()
    return (
        f"| {kind} | {stats.details['oversampling'] or '-'} | {recall:.3f} | {statistics.median(milliseconds):.1f} | "
        f"{np.percentile(milliseconds, 95):.1f} | {quantized / 1e6:.1f} | {stats.ram_data_size / 1e6:.0f} | {anonymous:.0f} | "
        f"{mapped:.0f} | {stats.disk_data_size / 1e6:.0f} |"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("--perturbed", type=int, default=0)
    parser.add_argument("--kinds", default="none,binary,int8,turbo2,turbo4")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--steps", default="fill,switch,measure")
    parser.add_argument("--no-graph", action="store_true")
    chosen = parser.parse_args()
    steps = set(chosen.steps.split(","))
    corpus = await load(chosen.count)
    real = chosen.count - QUERIES
    with tempfile.TemporaryDirectory(prefix="qdrant-bench-") as temporary:
        server = ServerProcess(chosen.folder or Path(temporary))
        try:
            options = ServerOptions((server.url,), corpus.identity, timeout=PATIENCE)
            kinds = chosen.kinds.split(",")
            if "fill" in steps:
                items = corpus.first(real).memories(chosen.perturbed)
                await load_memories(server, of_kind(options, kinds[0]), items, graph=not chosen.no_graph)
            if "measure" in steps:
                print(HEAD)
            for kind in kinds:
                seconds = await switch(options, kind) if "switch" in steps else 0.0
                if "measure" in steps:
                    print(await measure(server, options, kind, corpus.vectors[real:]), f"{seconds:.0f} |", flush=True)
                elif "switch" in steps:
                    print(f"{kind}: switched in {seconds:.0f} s", flush=True)
        finally:
            server.stop()


if __name__ == "__main__":
    asyncio.run(main())
