"""kill -9 of service and Qdrant together, again and again, under concurrent writes: what was acknowledged is there, nothing else.

CHAOS_ROUNDS sets the number of rounds (50; under emulation a fifth of it), CHAOS_SEED replays a failure's sequence. `make chaos`.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest

from containers.qdrant import Qdrant
from containers.report import Figures
from containers.running import RunningContainer, kill, start_again
from containers.world import World
from mcp_memory.domain.memory import point_id
from mcp_memory.storage.qdrant_server.lifecycle import state_name
from reliability.checks import check_all, settle
from reliability.ledger import Ledger
from reliability.writers import Load, Writer
from service_answers import until

ROUNDS = int(os.environ.get("CHAOS_ROUNDS") or "50")
SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
EMULATED_SHARE = 5
"""Under emulation, one round for so many of these."""
WRITERS = 8
ALIAS = "memories"
PATIENCE = 300.0

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(1800 + 60 * ROUNDS)]


class Victims(StrEnum):
    BOTH = "both together"
    SERVICE = "the service"
    QDRANT = "Qdrant"


SHARES = {Victims.BOTH: 0.6, Victims.SERVICE: 0.2, Victims.QDRANT: 0.2}


class Deployment:
    """A service on a Qdrant, killed and started again on their volumes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.qdrant = world.qdrant()
        settings = {} if world.on.service.native else world.embedding_endpoint().settings()
        self.service = world.service(self.qdrant, MCP_BREAKER_SECONDS="1", **settings)

    def of(self, victims: Victims) -> list[RunningContainer]:
        match victims:
            case Victims.BOTH:
                return [self.service, self.qdrant]
            case Victims.SERVICE:
                return [self.service]
            case Victims.QDRANT:
                return [self.qdrant]

    def start_again(self, victims: Victims) -> None:
        """All at the same moment; returns when the service answers from its storage."""
        start_again(*self.of(victims))
        with self.service.client() as http:
            until(lambda: http.get("/api/memories").status_code == 200, seconds=PATIENCE)

    def keep(self, folder: Path) -> Path:
        """What lies in the volumes, as it is now."""
        kill(*(container for container in self.of(Victims.BOTH) if container.running))
        archive = folder / "volumes.tar.gz"
        self._world.keep(archive, qdrant=self.qdrant.storage, service=self.service.data)
        return archive


async def check_qdrant(qdrant: Qdrant, ledger: Ledger) -> None:
    """Past the service: one alias to one collection, and in it exactly the ledger's points, each with payload and vector."""
    client = qdrant.client()
    try:
        aliases = (await client.get_aliases()).aliases
        assert [alias.alias_name for alias in aliases] == [ALIAS]
        names = sorted(found.name for found in (await client.get_collections()).collections)
        assert names == sorted([aliases[0].collection_name, state_name(ALIAS)])
        records, more = await client.scroll(ALIAS, limit=100_000, with_payload=True, with_vectors=True)
        assert more is None
        assert (await client.count(ALIAS, exact=True)).count == len(records)
    finally:
        await client.close()
    hashes = {ledger.hash_of(text): text for text in ledger.stored}
    assert sorted(str(record.id) for record in records) == sorted(point_id(hash_) for hash_ in hashes)
    for record in records:
        assert record.payload is not None
        assert record.payload["content"] == hashes[record.payload["content_hash"]]
        assert str(record.id) == point_id(record.payload["content_hash"])
        assert isinstance(record.vector, dict)
        (dense,) = [vector for vector in record.vector.values() if isinstance(vector, list)]
        assert len(dense) == 384
        assert abs(float(np.linalg.norm(dense)) - 1) < 1e-3


async def one_round(
    deployment: Deployment, load: Load, writers: list[Writer], victims: Victims, dice: random.Random
) -> None:
    """Writers at work, a kill in the middle, everything back; the ledger settled."""
    load.expect(dice.randint(1, 40))
    load.url = deployment.service.url
    stop = asyncio.Event()
    tasks = [asyncio.create_task(writer.run(stop, until_kill_seen=False)) for writer in writers]
    try:
        doomed = deployment.of(victims)
        await load.kill_in_the_middle(lambda: kill(*doomed), tasks, after=dice.uniform(0, 0.05), patience=120)
        stop.set()  # a writer that is refused at once, thousands of times, would leave thousands of open questions
        await asyncio.wait_for(asyncio.gather(*tasks), 120)
        await asyncio.to_thread(deployment.start_again, victims)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    load.url = deployment.service.url
    await settle(load)


async def test_kill_9_of_service_and_qdrant_loses_nothing_acknowledged(world: World, figures: Figures) -> None:
    rounds = ROUNDS if world.on.service.native else max(1, ROUNDS // EMULATED_SHARE)
    print(f"CHAOS_SEED={SEED} CHAOS_ROUNDS={ROUNDS}: {rounds} rounds on {world.on}")
    figures("seed", str(SEED))
    dice = random.Random(SEED)
    deployment = await asyncio.to_thread(Deployment, world)
    load = Load(deployment.service.url, Ledger(), deployment.service.headers)
    writers = [Writer(f"w{number}", random.Random(dice.random()), load) for number in range(WRITERS)]
    counts: Counter[Victims] = Counter()
    began = time.monotonic()
    try:
        for _ in range(rounds):
            (victims,) = dice.choices(list(SHARES), list(SHARES.values()))
            await one_round(deployment, load, writers, victims, dice)
            counts[victims] += 1
            await check_all(load, dice, samples=10)
            await check_qdrant(deployment.qdrant, load.ledger)
        await check_all(load, dice, samples=None)
    except BaseException:
        kept = await asyncio.to_thread(deployment.keep, Path(tempfile.mkdtemp(prefix="memory-chaos-")))
        print(f"both volumes as they were: {kept}")
        raise
    finally:
        figures(
            "rounds", counts.total(), f"({', '.join(f'{count} of {victims}' for victims, count in counts.items())})"
        )
        figures("a round, checks included", (time.monotonic() - began) / max(1, counts.total()), "s")
        figures("writes acknowledged", load.acknowledged)
        figures("writes refused with 503", load.refused)
    figures("memories at the end", len(load.ledger.stored))
    assert load.acknowledged > 5 * rounds, "the writers hardly wrote: the kills proved nothing"
