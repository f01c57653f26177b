"""Turns and nodes on the way to a Qdrant server: what waits for a turn is not blamed on the server, and a node that is silent is
left. Nothing is sent here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
import pytest
from qdrant_client.http.exceptions import UnexpectedResponse

from mcp_memory.domain.errors import StorageBusyError, StorageUnavailableError
from mcp_memory.storage.qdrant_server import nodes
from mcp_memory.storage.qdrant_server.connection import CONCURRENT, Connection
from mcp_memory.storage.qdrant_server.nodes import AVOIDED_SECONDS, Nodes
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


THREE = ("http://a:6333", "http://b:6333", "http://c:6333")


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connection]:
    """Three nodes; one is silent after a tenth of a second without a sign of life."""
    monkeypatch.setattr(nodes, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(nodes, "SILENT_SECONDS", 0.05)
    made = Connection(ServerOptions(THREE, MODEL, timeout=5.0, retry_seconds=0.1))
    made.open()
    yield made
    await made.close()


def hang(connection: Connection, *numbers: int, monkeypatch: pytest.MonkeyPatch) -> list[AsyncQdrantClient]:
    """Clients of the nodes, of which those don't answer, not even with their version."""
    clients = connection._clients
    for number, client in enumerate(clients):
        seconds = 60.0 if number in numbers else 0.0
        monkeypatch.setattr(client, "info", lambda seconds=seconds: asyncio.sleep(seconds))
    return clients


async def test_a_node_that_hangs_is_left_by_all_requests_for_one_that_answers(
    cluster: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = hang(cluster, 0, monkeypatch=monkeypatch)

    async def request(client: AsyncQdrantClient) -> int:
        number = clients.index(client)
        if number == 0:
            await asyncio.sleep(60.0)
        return number

    assert await asyncio.gather(*(cluster.run(request, "reading") for _ in range(7))) == [1] * 7
    assert cluster.address == THREE[1]


async def test_a_node_that_lives_is_waited_for(cluster: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits itself, for another node of the cluster."""
    clients = hang(cluster, monkeypatch=monkeypatch)

    async def request(client: AsyncQdrantClient) -> int:
        await asyncio.sleep(0.5)
        return clients.index(client)

    assert await cluster.run(request, "storing") == 0


async def test_a_node_that_refused_slowly_is_asked_again(cluster: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has found out by then that another node is away, which the next one would have to find out, too."""
    clients = hang(cluster, monkeypatch=monkeypatch)
    asked: list[int] = []

    async def request(client: AsyncQdrantClient) -> str:
        asked.append(clients.index(client))
        if len(asked) == 1:
            await asyncio.sleep(0.2)  # longer than requests are sent again for otherwise
            raise UnexpectedResponse(500, "Failed to apply update", b"{}", httpx.Headers())
        return "stored"

    assert await cluster.run(request, "storing") == "stored"
    assert asked == [0, 0]


async def test_where_every_node_hangs_the_deadline_ends_it(
    cluster: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang(cluster, 0, 1, 2, monkeypatch=monkeypatch)
    with pytest.raises(StorageUnavailableError, match=r"No node of Qdrant at .* answers reading"):
        await cluster.run(Requests(60.0), "reading")


def test_a_silent_node_is_passed_over_for_a_while() -> None:
    now = 0.0
    three = Nodes(THREE, monotonic=lambda: now)
    three.leave(0, silent=True)
    three.leave(0, silent=True)  # another request that waited for it
    assert three.address == THREE[1]
    three.leave(1)
    three.leave(2)
    assert three.address == THREE[1]
    now = AVOIDED_SECONDS
    three.leave(1)
    three.leave(2)
    assert three.address == THREE[0]


def test_a_single_server_is_the_only_choice() -> None:
    one = Nodes(THREE[:1])
    one.leave(0, silent=True)
    assert one.address == THREE[0]
