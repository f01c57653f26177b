"""Turns on the way to a Qdrant server: what waits for one is not blamed on the server. Nothing is sent here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from mcp_memory.domain.errors import StorageBusyError, StorageUnavailableError
from mcp_memory.storage.qdrant_server.connection import CONCURRENT, Connection
from mcp_memory.storage.qdrant_server.options import ServerOptions
from storage_samples import MODEL

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

pytestmark = pytest.mark.anyio


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    made = Connection(ServerOptions(("http://127.0.0.1:1",), MODEL, timeout=1.0))
    made.open()
    yield made
    await made.close()


class Requests:
    """Answers after so many seconds, and knows how many were under way at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._under_way = 0
        self.most = 0

    async def __call__(self, _client: AsyncQdrantClient) -> str:
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self._under_way -= 1
        return "answer"


async def test_waiting_for_a_turn_takes_nothing_from_the_time_of_the_request(connection: Connection) -> None:
    requests = Requests(0.6)

    answers = await asyncio.gather(*(connection.run(requests, "reading") for _ in range(2 * CONCURRENT)))

    assert answers == ["answer"] * (2 * CONCURRENT)
    assert requests.most == CONCURRENT


async def test_no_turn_in_time_is_overload_and_a_turn_without_answer_is_the_servers(connection: Connection) -> None:
    hanging = [asyncio.create_task(connection.run(Requests(60.0), "reading")) for _ in range(CONCURRENT)]
    await asyncio.sleep(0)

    with pytest.raises(StorageBusyError, match=r"no turn within 0\.1 s for counting"):
        await connection.run(Requests(0.0), "counting", seconds=0.1)

    ended = await asyncio.gather(*hanging, return_exceptions=True)
    assert {type(error) for error in ended} == {StorageUnavailableError}
    assert await connection.run(Requests(0.0), "counting") == "answer"


async def test_a_caller_that_gives_up_leaves_its_turn_to_the_next(connection: Connection) -> None:
    hanging = [asyncio.create_task(connection.run(Requests(60.0), "reading", seconds=60.0)) for _ in range(CONCURRENT)]
    waiting = [asyncio.create_task(connection.run(Requests(0.0), "counting", seconds=60.0)) for _ in range(3)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    hanging[0].cancel()

    assert await asyncio.gather(*waiting[1:]) == ["answer", "answer"]
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, *waiting, return_exceptions=True)
