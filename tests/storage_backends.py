"""The backends that the contract suite runs against."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from mcp_memory.storage.base import BaseStorage
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.sqlite_vec.backend import SqliteVecStorage
from mcp_memory.storage.sqlite_vec.options import SqliteVecOptions
from qdrant_backends import forget, server, server_over_grpc, three_nodes
from reference_storage import ReferenceStorage
from storage_samples import DIMENSIONS, MODEL


def embedded(path: Path) -> BaseStorage:
    return QdrantEmbeddedStorage(EmbeddedOptions(path / "store", MODEL, disk_reserve_bytes=0))


def reference(_: Path) -> BaseStorage:
    return ReferenceStorage(DIMENSIONS)


def sqlite_vec(path: Path) -> BaseStorage:
    return SqliteVecStorage(SqliteVecOptions(path / "sqlite_vec.db", MODEL))


LASTING: dict[str, Callable[[Path], BaseStorage]] = {
    "embedded": embedded,
    "sqlite_vec": sqlite_vec,
    "server": server,
    "server-grpc": server_over_grpc,
    "cluster": three_nodes,
}
"""Backends whose memories are there when they are opened again."""
BACKENDS = {"reference": reference, **LASTING}


@asynccontextmanager
async def opened(build: Callable[[Path], BaseStorage], path: Path) -> AsyncIterator[BaseStorage]:
    storage = build(path)
    await storage.initialize()
    try:
        yield storage
    finally:
        await storage.close()
        await forget(storage)
