"""kill -9 of the real server, again and again, under concurrent writes: what was acknowledged is there, and nothing else.

MCP_TEST_KILLS sets the number of kills (20; 200 in `make chaos`), MCP_TEST_SEED replays a failure's sequence.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path

import psutil
import pytest

from integration.memory_server import MemoryServer, memory_server
from reliability.checks import check_all, settle
from reliability.ledger import Ledger
from reliability.writers import Load, Writer

KILLS = int(os.environ.get("MCP_TEST_KILLS", "20"))
SEED = int(os.environ.get("MCP_TEST_SEED") or random.SystemRandom().randrange(1_000_000))
WRITERS = 8
FULL_CHECK_EVERY = 10
ENGINE = "mcp_memory.storage.qdrant_embedded.engine"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.timeout(60 + 15 * KILLS),
    pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a signal: run it on Linux or macOS"),
]


class Victim(StrEnum):
    SERVICE = "master, worker and engine"
    MASTER = "master"
    WORKER = "worker"
    ENGINE = "engine"


SHARES = {Victim.SERVICE: 0.32, Victim.MASTER: 0.04, Victim.WORKER: 0.20}
"""Of all kills; the rest are the engine's."""


def victims(dice: random.Random) -> Iterator[Victim]:
    kinds = [victim for victim, share in SHARES.items() for _ in range(round(share * KILLS))]
    kinds += [Victim.ENGINE] * (KILLS - len(kinds))
    dice.shuffle(kinds)
    yield from kinds


class Target:
    """The server that is killed and started again over one store."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._running = ExitStack()
        self.server = self._start()

    def _start(self) -> MemoryServer:
        return self._running.enter_context(memory_server(self._base))

    def processes(self) -> dict[str, psutil.Process]:
        """Master, worker and engine, as far as they live."""
        master = psutil.Process(self.server.process.pid)
        found = {"master": master}
        for process in psutil.process_iter(["cmdline", "ppid"]):
            command = process.info["cmdline"] or []
            if ENGINE in command and str(self._base) in command[-1]:
                found["engine"] = process
            elif process.info["ppid"] == master.pid:
                found["worker"] = process
        return found

    def kill(self, victim: Victim) -> list[psutil.Process]:
        """Kill -9; returns the processes that are to be gone before another server can start."""
        living = self.processes()
        for name in ("master", "worker", "engine"):
            if name in living and (victim is Victim.SERVICE or victim.value == name):
                living[name].kill()
        return list(living.values())

    def start_again(self, gone: list[psutil.Process]) -> None:
        self.server.process.wait(30)
        _, alive = psutil.wait_procs(gone, timeout=30)
        assert alive == [], f"still there half a minute after the master was killed: {alive}"
        self._running.close()
        self.server = self._start()

    def stop(self) -> None:
        self._running.close()


async def one_round(target: Target, load: Load, writers: list[Writer], victim: Victim, dice: random.Random) -> None:
    """Writers at work, a kill in the middle, and the service serving again; the ledger settled."""
    load.expect(dice.randint(1, 60))
    load.url = target.server.url
    stop = asyncio.Event()
    survives = victim in {Victim.WORKER, Victim.ENGINE}
    tasks = [asyncio.create_task(writer.run(stop, until_kill_seen=survives)) for writer in writers]
    try:
        gone = await load.kill_in_the_middle(lambda: target.kill(victim), tasks, after=dice.uniform(0, 0.03))
        await asyncio.wait_for(asyncio.gather(*tasks), 90)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if not survives:
        await asyncio.to_thread(target.start_again, gone)
        load.url = target.server.url
    await settle(load)


async def test_kill_9_loses_nothing_acknowledged_and_brings_nothing_back() -> None:
    base = Path(tempfile.mkdtemp(prefix="memory-kills-"))  # kept on failure, longer than pytest keeps its folders
    print(f"MCP_TEST_SEED={SEED} MCP_TEST_KILLS={KILLS}; a failure's store and log stay in {base}")
    dice = random.Random(SEED)
    ledger = Ledger()
    target = await asyncio.to_thread(Target, base)
    load = Load(target.server.url, ledger)
    writers = [Writer(f"w{number}", random.Random(dice.random()), load) for number in range(WRITERS)]
    counts = dict.fromkeys(Victim, 0)
    started = time.monotonic()
    try:
        for number, victim in enumerate(victims(dice), 1):
            await one_round(target, load, writers, victim, dice)
            counts[victim] += 1
            if number % FULL_CHECK_EVERY == 0:
                await check_all(load, dice, samples=20)
        await check_all(load, dice, samples=None)
    finally:
        await asyncio.to_thread(target.stop)
        print(
            f"{sum(counts.values())} kills in {time.monotonic() - started:.0f} s "
            f"({', '.join(f'{count} of {victim.value}' for victim, count in counts.items())}), "
            f"{load.acknowledged:,} writes acknowledged, {load.refused} requests refused, {len(ledger.uncertain)} unsettled"
        )
    assert load.acknowledged > 5 * KILLS, "the writers hardly wrote: the kills proved nothing"
    assert len(ledger.stored) > KILLS
    shutil.rmtree(base)
