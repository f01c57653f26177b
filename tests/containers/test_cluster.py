"""Three Qdrant nodes, each memory on two of them, under writers: each node killed, one paused, one cut off; nothing is lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from containers.points import count, points
from containers.qdrant import Qdrant
from containers.report import Figures
from containers.world import World
from mcp_memory.domain.memory import point_id
from qdrant_server import NEWS_SECONDS, wait_for_peers, wait_for_replicas
from reliability.checks import check_all, settle
from reliability.ledger import Ledger
from reliability.writers import Load, Writer

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(1800)]

WRITERS = 4
BETWEEN = 40
"""Writes that are acknowledged before a node goes, and again while it is away."""
PATIENCE = 300.0
WHOLE_AGAIN = 600.0
"""Writes to a replica that is away wait, one behind the other, up to 30 s each for the cluster to say so, and it may wait for
them: behind a node that had been cut off, 200 s were seen until Qdrant was through with that."""
SEED = 20_260
ALIAS = "memories"


class Cluster:
    """The nodes, and how each can be away."""

    def __init__(self, world: World, figures: Figures) -> None:
        self.nodes = world.cluster()
        self._figures = figures

    def killed(self, node: Qdrant) -> Callable[[], None]:
        """Each of these takes a node away and returns what brings it back."""
        node.kill()
        return lambda: self._note(node.start_again())

    def paused(self, node: Qdrant) -> Callable[[], None]:
        node.pause()
        return node.unpause

    def cut_off(self, node: Qdrant) -> Callable[[], None]:
        node.disconnect()

        def back() -> None:
            node.reconnect()
            node.wait_until_ready()

        return back

    def whole(self) -> None:
        """Wait until every node knows all others, and every replica is active as each sees it: in truth, not only at a glance."""
        key = self.nodes[0].key
        wait_for_peers(self.nodes, api_key=key)
        wait_for_replicas(self.nodes, ALIAS, api_key=key, steady=NEWS_SECONDS, patience=WHOLE_AGAIN)

    def _note(self, seconds: float) -> None:
        self._figures("a killed node ready again after", seconds, "s")


@contextmanager
def going(on: bool, load: Load) -> Iterator[None]:
    """While a node is away requests may be repeated by the service, as behind any kill."""
    load.killing = on
    try:
        yield
    finally:
        load.killing = False


async def some_more(load: Load, tasks: list[asyncio.Task[None]]) -> float:
    """Wait for acknowledged writes; seconds they took. A writer's failure is the test's."""
    began = time.monotonic()
    load.expect(BETWEEN)
    reached = asyncio.create_task(load.reached.wait())
    try:
        await asyncio.wait([reached, *tasks], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            assert not task.done(), f"a writer stopped: {task.exception()!r}"
        assert reached.done(), f"fewer than {BETWEEN} writes acknowledged in {PATIENCE:.0f} s, {load.refused} refused"
    finally:
        reached.cancel()
    return time.monotonic() - began


async def check_nodes(cluster: Cluster, load: Load) -> None:
    """Whichever node is asked, exactly the acknowledged points are there."""
    expected = sorted(point_id(load.ledger.hash_of(text)) for text in load.ledger.stored)
    for node in cluster.nodes:
        assert await asyncio.to_thread(count, node) == len(expected)
        found = await asyncio.to_thread(points, node)
        assert sorted(str(point["id"]) for point in found) == expected


async def test_nodes_come_and_go_and_every_acknowledged_write_is_readable(world: World, figures: Figures) -> None:
    cluster = await asyncio.to_thread(Cluster, world, figures)
    settings = {} if world.on.service.native else (await asyncio.to_thread(world.embedding_endpoint)).settings()
    service = await asyncio.to_thread(
        lambda: world.service(
            *cluster.nodes,
            MCP_QDRANT_SHARD_NUMBER="3",
            MCP_QDRANT_REPLICATION_FACTOR="2",
            MCP_QDRANT_TIMEOUT="5",
            MCP_BREAKER_SECONDS="1",
            **settings,
        )
    )
    await asyncio.to_thread(cluster.whole)
    dice = random.Random(SEED)
    load = Load(service.url, Ledger(), service.headers)
    stop = asyncio.Event()
    writers = [Writer(f"w{number}", random.Random(dice.random()), load) for number in range(WRITERS)]
    tasks = [asyncio.create_task(writer.run(stop, until_kill_seen=True)) for writer in writers]
    one, two, three = cluster.nodes
    try:
        for what, take_away, node in (
            ("killed", cluster.killed, one),
            ("killed", cluster.killed, two),
            ("killed", cluster.killed, three),
            ("paused", cluster.paused, two),
            ("cut off", cluster.cut_off, three),
        ):
            await some_more(load, tasks)
            with going(True, load):
                bring_back = await asyncio.to_thread(take_away, node)
                figures(f"{BETWEEN} writes with {node.aliases[0]} {what}", await some_more(load, tasks), "s")
                await asyncio.to_thread(bring_back)
                began = time.monotonic()
                await asyncio.to_thread(cluster.whole)
                whole = time.monotonic() - began - NEWS_SECONDS
                figures(f"replicas whole after {node.aliases[0]} was {what}", whole, "s")
        await some_more(load, tasks)
    finally:
        stop.set()
        await asyncio.wait(tasks, timeout=120)
        for task in tasks:
            task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert result is None, repr(result)
    await settle(load)
    await check_all(load, dice, samples=50)
    await check_nodes(cluster, load)
    figures("writes acknowledged", load.acknowledged)
    figures("writes refused with 503", load.refused)
    figures("memories at the end", len(load.ledger.stored))
