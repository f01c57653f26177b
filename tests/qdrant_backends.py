"""Qdrant servers as backends of the contract suite: one server, the same over gRPC, a cluster of three nodes.

Each is started at its first use and lives as long as the session; every storage has an alias of its own there.
"""

from __future__ import annotations

import atexit
import hashlib
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from mcp_memory.storage.base import BaseStorage
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.dropping import drop_collection
from mcp_memory.storage.qdrant_server.options import ServerOptions
from qdrant_server import QdrantServer, any_server, cluster, own_server
from storage_samples import MODEL

_running = ExitStack()
atexit.register(_running.close)


@cache
def _folder() -> Path:
    return Path(_running.enter_context(tempfile.TemporaryDirectory(prefix="qdrant-tests-", ignore_cleanup_errors=True)))


@cache
def server_url() -> str:
    return _running.enter_context(any_server(_folder() / "single"))


@cache
def grpc_server() -> QdrantServer:
    return _running.enter_context(own_server(_folder() / "grpc"))


@cache
def nodes() -> tuple[QdrantServer, ...]:
    return tuple(_running.enter_context(cluster(_folder() / "cluster")))


def alias(path: Path) -> str:
    return f"test_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"


def server(path: Path) -> BaseStorage:
    return QdrantServerStorage(ServerOptions((server_url(),), MODEL, alias=alias(path)))


def server_over_grpc(path: Path) -> BaseStorage:
    one = grpc_server()
    return QdrantServerStorage(
        ServerOptions((one.url,), MODEL, alias=alias(path), prefer_grpc=True, grpc_port=one.grpc_port)
    )


def three_nodes(path: Path, shards: int = 1) -> BaseStorage:
    """One shard with a replica on each of two nodes: with more shards each counts words for itself, so that BM25 differs."""
    urls = tuple(one.url for one in nodes())
    options = ServerOptions(
        urls, MODEL, alias=alias(path), shard_number=shards, replication_factor=2, write_consistency_factor=1
    )
    return QdrantServerStorage(options)


async def forget(storage: BaseStorage) -> None:
    """Drop what a test left on a server that goes on."""
    if isinstance(storage, QdrantServerStorage):
        await drop_collection(storage.options)
