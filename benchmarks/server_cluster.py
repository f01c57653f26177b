"""What a cluster of three Qdrant nodes does when one is killed under load, by how many replicas must have a write.

usage: QDRANT_BIN=qdrant python -m benchmarks.server_cluster [--ways 2:1,2:2,3:2]

A way is a replication factor and a write consistency factor. For each: 100 writes with all nodes, kill -9 of one node, 100 writes
and 100 searches without it, the node back, 100 writes; then every acknowledged memory is looked for.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np

from benchmarks.server_process import ServerProcess
from mcp_memory.domain.errors import StorageError
from mcp_memory.domain.memory import EmbeddedMemory, Memory, content_hash
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.domain.query import SearchMode, SearchQuery
from mcp_memory.storage.base import UpsertMode
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.options import ServerOptions

MODEL = ModelIdentity("benchmark", 384, "b0b0cafeb0b0cafe")
COUNT = 100
HEAD = (
    "| replication | write consistency | write p50 ms | failed of 100 before | failed while one is dead | "
    "p50 / longest ms then | searches failed then | failed after | acknowledged lost | replicas active after s |"
)


def memory(text: str) -> EmbeddedMemory:
    hash_ = content_hash(text)
    drawn = np.random.default_rng(int(hash_[:8], 16)).normal(size=MODEL.dimensions).astype(np.float32)
    return EmbeddedMemory(Memory(text, hash_, 1.75e9, 1.75e9), (drawn / np.linalg.norm(drawn)).astype(np.float32))


async def write(storage: QdrantServerStorage, label: str, acknowledged: set[str]) -> tuple[int, float, float]:
    """How many failed; median and longest milliseconds."""
    failed, milliseconds = 0, []
    for number in range(COUNT):
        item = memory(f"{label} {number}")
        started = time.perf_counter()
        try:
            await storage.upsert([item], mode=UpsertMode.INSERT)
        except StorageError:
            failed += 1
        else:
            acknowledged.add(item.memory.content_hash)
        milliseconds.append((time.perf_counter() - started) * 1e3)
    return failed, statistics.median(milliseconds), max(milliseconds)


async def failed_searches(storage: QdrantServerStorage) -> int:
    failed = 0
    for number in range(COUNT):
        try:
            await storage.search(SearchQuery(SearchMode.SEMANTIC, None, memory(f"query {number}").vector))
        except StorageError:
            failed += 1
    return failed


async def active(url: str, collection: str) -> float:
    """Seconds until every replica is Active."""
    started = time.perf_counter()
    async with httpx.AsyncClient(timeout=5) as client:
        while time.perf_counter() - started < 120:
            found = (await client.get(f"{url}/collections/{collection}/cluster")).json()["result"]
            replicas = found["local_shards"] + found["remote_shards"]
            if not found["shard_transfers"] and all(one["state"] == "Active" for one in replicas):
                break
            await asyncio.sleep(0.2)
    return time.perf_counter() - started


async def measure(nodes: list[ServerProcess], replication: int, consistency: int) -> str:
    """A line of the table."""
    options = ServerOptions(
        tuple(node.url for node in nodes),
        MODEL,
        alias=f"r{replication}c{consistency}",
        shard_number=3,
        replication_factor=replication,
        write_consistency_factor=consistency,
    )
    storage = QdrantServerStorage(options)
    await storage.initialize()
    collection = str((await storage.stats()).details["collection"])
    await active(nodes[0].url, collection)
    acknowledged: set[str] = set()
    before = await write(storage, "before", acknowledged)
    await asyncio.to_thread(nodes[0].kill)
    during = await write(storage, "during", acknowledged)
    unread = await failed_searches(storage)
    await asyncio.to_thread(nodes[0].start)
    seconds = await active(nodes[1].url, collection)
    after = await write(storage, "after", acknowledged)
    lost = len(acknowledged - (await storage.get(sorted(acknowledged))).keys())
    await storage.close()
    return (
        f"| {replication} | {consistency} | {before[1]:.0f} | {before[0]} | {during[0]} | {during[1]:.0f} / {during[2]:.0f} | "
        f"{unread} | {after[0]} | {lost} of {len(acknowledged)} | {seconds:.0f} |"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", default="2:1,2:2,3:2")
    ways = [way.split(":") for way in parser.parse_args().ways.split(",")]
    with tempfile.TemporaryDirectory(prefix="qdrant-bench-") as folder:
        nodes = [ServerProcess(Path(folder) / "node0", bootstrap="")]
        try:
            for number in (1, 2):
                nodes.append(ServerProcess(Path(folder) / f"node{number}", bootstrap=nodes[0].peer))
            print(HEAD)
            print("|---|---|---|---|---|---|---|---|---|---|")
            for replication, consistency in ways:
                print(await measure(nodes, int(replication), int(consistency)), flush=True)
        finally:
            for node in nodes:
                node.stop()


if __name__ == "__main__":
    asyncio.run(main())
