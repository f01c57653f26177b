"""How long a cluster of three Qdrant nodes refuses requests when one hangs or is cut off, and when that is over.

usage: QDRANT_BIN=qdrant unshare --net python -m benchmarks.server_cluster_away [--away paused,cut] [--node 0]
           [--seconds 30] [--ordering medium]

As root, in a network of its own: each node is in a namespace, on one bridge. `paused` is SIGSTOP: connections stay and nothing
answers. `cut` drops every packet from and to the node, as a failed switch does. Eight clients store one memory or up to twelve,
change, delete and read; then every acknowledged memory is looked for, and every deleted one. Node 0 is the one that is asked
first, and mostly Qdrant's own leader; three shards, two replicas, one must have a write.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import httpx

from benchmarks.server_cluster import MODEL, memory
from mcp_memory.config import Settings, WriteOrdering
from mcp_memory.container import breaker_options, server_options
from mcp_memory.domain.errors import StorageError
from mcp_memory.domain.memory import MemoryChanges
from mcp_memory.storage.base import BaseStorage, UpsertMode
from mcp_memory.storage.breaker import guarded
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage

NODES, CLIENTS = 3, 8
WARM_SECONDS, AFTER_SECONDS = 8.0, 60.0
HEAD = (
    "| node | away | answered meanwhile | refused, until s | longest silence s | answered in 60 s after | refused, until s | "
    "longest silence s | acknowledged lost | deleted back |"
)


def command(*words: str) -> None:
    subprocess.run(words, check=True)


class Node:
    """A Qdrant in a network namespace of its own."""

    def __init__(self, number: int, folder: Path, stack: ExitStack) -> None:
        self.number, self._folder, self._stack = number, folder, stack
        self.url = f"http://10.99.0.{10 + number}:6333"
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        stack.callback(holder.kill)
        here = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{holder.pid}/ns/net").readlink() == here:
            time.sleep(0.02)
        self._inside = ["nsenter", "--target", str(holder.pid), "--net"]
        self._link = f"node{number}"
        command("ip", "link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        command("ip", "link", "set", self._link, "master", "bridge", "up")
        command(*self._inside, "ip", "link", "set", "lo", "up")
        command(*self._inside, "ip", "addr", "add", f"10.99.0.{10 + number}/24", "dev", "eth0")
        command(*self._inside, "ip", "link", "set", "eth0", "up")

    def start(self, first: Node) -> None:
        environment = {
            "QDRANT__SERVICE__HOST": "0.0.0.0",
            "QDRANT__CLUSTER__ENABLED": "true",
            "QDRANT__TELEMETRY_DISABLED": "true",
            "QDRANT__LOG_LEVEL": "WARN",
        }
        words = [*self._inside, os.environ["QDRANT_BIN"], "--uri", self.url.replace("6333", "6335")]
        if first is not self:
            words += ["--bootstrap", first.url.replace("6333", "6335")]
        self._folder.mkdir()
        with (self._folder / "qdrant.log").open("wb") as log:
            self._process = subprocess.Popen(words, cwd=self._folder, env=environment, stdout=log, stderr=log)
        self._stack.callback(self._process.kill)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        sys.exit(f"node {self.number} did not become ready")

    def go(self, how: str) -> None:
        if how == "paused":
            self._process.send_signal(signal.SIGSTOP)
        else:
            command("bridge", "link", "set", "dev", self._link, "state", "0")

    def come_back(self, how: str) -> None:
        if how == "paused":
            self._process.send_signal(signal.SIGCONT)
        else:
            command("bridge", "link", "set", "dev", self._link, "state", "3")


@dataclass
class Clients:
    """What eight clients were told."""

    storage: BaseStorage
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    present: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    reasons: dict[str, int] = field(default_factory=dict)

    async def run(self, number: int) -> None:
        dice, own, written = random.Random(number), list[str](), 0
        while True:
            written += 1
            try:
                await self._operation(dice, own, f"client {number} text {written}")
            except StorageError as error:
                self.refused.append(time.monotonic())
                reason = error.message.splitlines()[0][:160]
                self.reasons[reason] = self.reasons.get(reason, 0) + 1
                await asyncio.sleep(0.2)
            else:
                self.answered.append(time.monotonic())
                await asyncio.sleep(0.05)

    async def _operation(self, dice: random.Random, own: list[str], text: str) -> None:
        choice = dice.random()
        if choice < 0.5 or not own:
            count = dice.randint(2, 12) if choice < 0.1 else 1
            items = [memory(f"{text} {one}") for one in range(count)]
            await self.storage.upsert(items, mode=UpsertMode.INSERT)
            hashes = [item.memory.content_hash for item in items]
            own += hashes
            self.present.update(hashes)
        elif choice < 0.65:
            await self.storage.update(dice.choice(own), MemoryChanges(tags=(text.replace(" ", "-"),)))
        elif choice < 0.8:
            gone = own.pop(dice.randrange(len(own)))
            self.present.discard(gone)
            await self.storage.delete([gone])
            self.deleted.add(gone)
        else:
            await self.storage.get([dice.choice(own)])

    def between(self, start: float, end: float) -> str:
        """Answers, refusals and when the last of them was, the longest time without an answer."""
        answered = [start, *(moment for moment in self.answered if start <= moment < end), end]
        refused = [moment - start for moment in self.refused if start <= moment < end]
        silence = max(later - sooner for sooner, later in pairwise(answered))
        until = f"{len(refused)}, {max(refused):.1f}" if refused else "0"
        return f"{len(answered) - 2:,} | {until} | {silence:.1f}"


async def measure(nodes: list[Node], number: int, how: str, seconds: float, ordering: str) -> str:
    """A line of the table."""
    settings = Settings(
        qdrant_url=",".join(node.url for node in nodes),
        collection=f"away_{number}_{how}_{seconds:.0f}",
        qdrant_write_ordering=WriteOrdering(ordering),
        qdrant_shard_number=3,
        qdrant_replication_factor=2,
        qdrant_write_consistency_factor=1,
    )
    storage = guarded(QdrantServerStorage(server_options(settings, MODEL)), breaker_options(settings))
    await storage.initialize()
    clients = Clients(storage)
    tasks = [asyncio.create_task(clients.run(one)) for one in range(CLIENTS)]
    await asyncio.sleep(WARM_SECONDS)
    nodes[number].go(how)
    gone = time.monotonic()
    await asyncio.sleep(seconds)
    nodes[number].come_back(how)
    back = time.monotonic()
    await asyncio.sleep(AFTER_SECONDS)
    for task in tasks:
        task.cancel()
    ended = time.monotonic()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(result, asyncio.CancelledError):
            raise RuntimeError(result)
    await asyncio.sleep(5.0)
    there = (await storage.get(sorted(clients.present | clients.deleted))).keys()
    await storage.close()
    for reason, count in clients.reasons.items():
        print(f"  {count}: {reason}", file=sys.stderr)
    return (
        f"| {number} | {how}, {seconds:g} s | {clients.between(gone, back)} | {clients.between(back, ended)} | "
        f"{len(clients.present - there)} of {len(clients.present)} | {len(clients.deleted & there)} of {len(clients.deleted)} |"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--away", default="paused,cut")
    parser.add_argument("--node", default="0", help="which nodes, one after another: 0,1,2")
    parser.add_argument("--ordering", default="medium", choices=["weak", "medium", "strong"])
    parser.add_argument("--seconds", default="30", help="how long each is away: 7,30")
    arguments = parser.parse_args()
    command("ip", "link", "set", "lo", "up")
    command("ip", "link", "add", "bridge", "type", "bridge")
    command("ip", "addr", "add", "10.99.0.1/24", "dev", "bridge")
    command("ip", "link", "set", "bridge", "up")
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="qdrant-bench-", ignore_cleanup_errors=True))
        )
        nodes = [Node(number, folder / str(number), stack) for number in range(NODES)]
        for node in nodes:
            node.start(nodes[0])
        print(HEAD)
        print("|---|---|---|---|---|---|---|---|---|---|")
        for how in arguments.away.split(","):
            for number in arguments.node.split(","):
                for seconds in arguments.seconds.split(","):
                    print(await measure(nodes, int(number), how, float(seconds), arguments.ordering), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
