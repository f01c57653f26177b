"""Stores whose model changes: embedded and on a server, as a test and as a service see them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedders import HashEmbedder
from mcp_memory.domain.memory import EmbeddedMemory, Memory, content_hash
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.domain.query import SearchMode, SearchQuery
from mcp_memory.migration.model_change import ModelChange, ModelChangeReport
from mcp_memory.migration.model_change_plan import ModelChangeOptions
from mcp_memory.storage.base import BaseStorage
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_embedded.succession import EmbeddedSuccession
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.options import ServerOptions
from mcp_memory.storage.qdrant_server.succession import ServerSuccession
from mcp_memory.storage.succession import Succession
from migration_world import Recorder
from qdrant_backends import alias, nodes, server_url

START = 1_750_000_000.0


class NamedEmbedder(HashEmbedder):
    """Another model: other size, other fingerprint."""

    def __init__(self, name: str, dimensions: int) -> None:
        super().__init__(dimensions)
        self.identity = ModelIdentity(name, dimensions, hashlib.sha256(name.encode()).hexdigest())


OLD = NamedEmbedder("org/old-model.v1", 24)
NEW = NamedEmbedder("new-model", 40)


@dataclass(frozen=True)
class Store:
    """One store: its storage for a service of a model, and its succession."""

    storage: Callable[[ModelIdentity], BaseStorage]
    succession: Callable[[], Succession]
    shared: bool


def embedded_store(path: Path) -> Store:
    def options(model: ModelIdentity) -> EmbeddedOptions:
        return EmbeddedOptions(path / "store", model, disk_reserve_bytes=0)

    return Store(
        lambda model: QdrantEmbeddedStorage(options(model)), lambda: EmbeddedSuccession(options(OLD.identity)), False
    )


def server_store(path: Path) -> Store:
    return _of_servers(path, (server_url(),))


def cluster_store(path: Path) -> Store:
    """Three shards over three nodes, each shard on two of them; every request may go to another node."""
    urls = tuple(node.url for node in nodes())
    return _of_servers(path, urls, shard_number=3, replication_factor=2, write_consistency_factor=1)


def _of_servers(path: Path, urls: tuple[str, ...], **cluster: int) -> Store:
    def options(model: ModelIdentity) -> ServerOptions:
        return ServerOptions(urls, model, alias=alias(path), **cluster)

    return Store(
        lambda model: QdrantServerStorage(options(model)), lambda: ServerSuccession(options(OLD.identity)), True
    )


STORES = {"embedded": embedded_store, "server": server_store}


def memory(text: str, number: int = 0) -> Memory:
    tags = (("note", "draft")[number % 2],)
    return Memory(text, content_hash(text), START + number, START + number, tags, None, {"number": number})


def embedded(embedder: HashEmbedder, text: str, number: int = 0) -> EmbeddedMemory:
    return EmbeddedMemory(memory(text, number), embedder._vector(text))


def texts(count: int) -> list[str]:
    subjects = ("kernel", "garden", "deploy", "music", "river")
    return [
        f"{'word ' * (number % 7)}{subjects[number % 5]} number{number} topic{number % 13}" for number in range(count)
    ]


@asynccontextmanager
async def opened(storage: BaseStorage) -> AsyncIterator[BaseStorage]:
    await storage.initialize()
    try:
        yield storage
    finally:
        await storage.close()


async def fill(store: Store, count: int = 60) -> list[str]:
    contents = texts(count)
    async with opened(store.storage(OLD.identity)) as storage:
        await storage.upsert([embedded(OLD, text, number) for number, text in enumerate(contents)])
    return contents


async def change(
    store: Store,
    checkpoint: Path,
    *,
    old: str = OLD.identity.name,
    embedder: HashEmbedder = NEW,
    progress: Recorder | None = None,
    stopping: Callable[[], bool] = lambda: False,
    alone: Callable[[], AbstractAsyncContextManager[None]] | None = None,
    **options: Any,
) -> ModelChangeReport:
    @asynccontextmanager
    async def nobody() -> AsyncIterator[None]:
        yield

    chosen = ModelChangeOptions(checkpoint, old, **{"batch_size": 10, "settle_seconds": 0.0, **options})
    async with store.succession() as succession:
        run = ModelChange(
            succession, embedder, chosen, progress or Recorder(), alone=alone or nobody, stopping=stopping
        )
        return await run.run()


async def content(store: Store, model: ModelIdentity) -> dict[str, tuple[Memory, bytes]]:
    """Everything a service of that model sees, revisions included."""
    async with opened(store.storage(model)) as storage:
        found = [item async for batch in storage.iterate() for item in batch]
    plain = {item.memory.content_hash: (item.memory, item.vector.tobytes()) for item in found}
    assert len(plain) == len(found), "a memory is there twice"
    return plain


async def answers(store: Store, embedder: HashEmbedder, questions: list[str]) -> list[list[tuple[str, float]]]:
    """What a service of that model answers to each question: hashes with scores."""
    given = []
    async with opened(store.storage(embedder.identity)) as storage:
        for question in questions:
            query = SearchQuery(SearchMode.HYBRID, question, embedder._vector(question), limit=10)
            given.append([(hit.memory.content_hash, round(hit.score, 4)) for hit in await storage.search(query)])
    return given
