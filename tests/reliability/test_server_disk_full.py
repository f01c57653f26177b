"""A Qdrant server whose disk is full: writes are refused as such, reads go on, and space that returns is used again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_disk import MEBIBYTE, fill, small_disk

from mcp_memory.domain.errors import StorageFullError
from mcp_memory.domain.query import EVERYTHING, SearchMode, SearchQuery
from mcp_memory.storage.base import UpsertMode
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.options import ServerOptions
from qdrant_server import QdrantServer, own_server
from storage_samples import MODEL, memory, vector

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QdrantServer]:
    """A server on a disk of 400 MB."""
    with small_disk(tmp_path / "disk", 400) as disk, own_server(disk / "qdrant") as server:
        yield server


async def test_a_full_disk_refuses_writes_as_full_and_goes_on_reading(server: QdrantServer) -> None:
    storage = QdrantServerStorage(ServerOptions((server.url,), MODEL, timeout=30.0))
    await storage.initialize()
    stored = [memory("before the disk was full")]
    await storage.upsert(stored)
    ballast = fill(server.folder.parent, leave=40 * MEBIBYTE)

    async def store_until_refused() -> None:
        words = np.random.default_rng(0)
        for number in range(200):
            item = memory(f"{number} " + " ".join(map(str, words.integers(0, 10**9, size=20_000))))
            await storage.upsert([item], mode=UpsertMode.INSERT)
            stored.append(item)

    with pytest.raises(StorageFullError, match="No space left on device"):
        await store_until_refused()
    hits = await storage.search(SearchQuery(SearchMode.SEMANTIC, None, vector(1), limit=3))
    assert hits
    assert (await storage.health()).healthy

    ballast.unlink()
    assert await storage.upsert([memory("after space came back")])
    found = await storage.get([item.memory.content_hash for item in stored])
    assert len(found) == len(stored)
    assert await storage.count(EVERYTHING) >= len(stored) + 1
    await storage.close()
