"""MCP_QDRANT_READ_CONSISTENCY on three nodes with three replicas: which reads go on when a node is dead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_memory.domain.errors import StorageUnavailableError
from mcp_memory.domain.query import EVERYTHING, SearchMode, SearchQuery
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.lifecycle import physical_name
from mcp_memory.storage.qdrant_server.options import ServerOptions
from qdrant_server import QdrantServer, cluster, wait_for_replicas
from storage_samples import MODEL, collection, vector

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
ITEMS = collection(30)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[QdrantServer]]:
    with cluster(tmp_path) as servers:
        yield servers


async def read_all(options: ServerOptions) -> None:
    """Every kind of read that takes the setting, with the answers of a whole collection."""
    storage = QdrantServerStorage(options)
    await storage.initialize()
    try:
        assert len((await storage.page(EVERYTHING, limit=50)).memories) == 30
        assert len(await storage.get([item.memory.content_hash for item in ITEMS])) == 30
        assert len([item async for batch in storage.iterate() for item in batch]) == 30
        found = await storage.search(SearchQuery(SearchMode.HYBRID, "kernel backup", vector(1), limit=5))
        assert len(found) == 5
    finally:
        await storage.close()


async def test_with_a_dead_node_quorum_reads_go_on_and_reads_that_ask_every_replica_fail(
    nodes: list[QdrantServer],
) -> None:
    options = ServerOptions(
        (nodes[0].url,),
        MODEL,
        retry_seconds=0.5,
        grpc_port=nodes[0].grpc_port,
        replication_factor=3,
        write_consistency_factor=2,
    )
    storage = QdrantServerStorage(options)
    await storage.initialize()
    wait_for_replicas(nodes, physical_name("memories", MODEL))
    await storage.upsert(ITEMS)
    ways = [replace(options, prefer_grpc=grpc) for grpc in (False, True)]
    for way in ways:
        for consistency in (None, "2", "quorum", "majority", "all"):
            await read_all(replace(way, read_consistency=consistency))

    nodes[2].kill()
    for way in ways:
        for consistency in (None, "2", "quorum"):
            await read_all(replace(way, read_consistency=consistency))
        for consistency in ("majority", "all"):
            with pytest.raises(StorageUnavailableError):
                await read_all(replace(way, read_consistency=consistency))
    await storage.close()
