"""Who puts writes in order: the process itself where no leader does. Nothing is sent here."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mcp_memory.domain.query import EVERYTHING
from mcp_memory.storage.base import UpsertMode
from mcp_memory.storage.qdrant_server.connection import Connection
from mcp_memory.storage.qdrant_server.options import ServerOptions
from mcp_memory.storage.qdrant_server.reads import Reads
from mcp_memory.storage.qdrant_server.revisions import RevisionClock
from mcp_memory.storage.qdrant_server.writes import Writes
from storage_samples import MODEL, memory

pytestmark = pytest.mark.anyio


class Slow(Connection):
    """Answers writes after a moment, with what was under way at once."""

    under_way = most = 0

    async def write(self, *_: object, **__: object) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.02)
        self.under_way -= 1

    async def run(self, *_: object, **__: object) -> Any:
        return []


@pytest.mark.parametrize(("ordering", "at_once"), [("weak", 1), ("medium", 3)])
async def test_with_weak_ordering_one_memory_is_written_by_one_request_at_a_time(ordering: str, at_once: int) -> None:
    options = ServerOptions(("http://a:6333",), MODEL, replication_factor=2, write_ordering=ordering)
    connection = Slow(options)
    writes = Writes(Reads(connection, options), RevisionClock())
    item = memory("the same")
    await asyncio.gather(
        *(writes.upsert([item, memory("another")], UpsertMode.INSERT) for _ in range(2)),
        writes._delete([item.memory.id], EVERYTHING),
    )
    assert connection.most == at_once
