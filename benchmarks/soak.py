"""The service under mixed load for a while: fails where memory, open files or threads go on growing behind the warm-up.

usage: python -m benchmarks.soak [--seconds N]

`make soak SOAK_SECONDS=1800` is the half hour that a release is held to. The store keeps its size: what is stored is deleted
again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.http_load import Connection, Request, connected, search
from benchmarks.server import MEBIBYTE, Held, Server, serving
from mcp_memory.domain.memory import content_hash

CLIENTS = 4
KEPT_EACH = 250
"""Memories that a client keeps stored at a time."""
WARM_UP = 0.3
"""Part of the time that isn't judged: caches, arenas and the store's segments fill."""
SAMPLES = 60
MOST_GROWTH = {"anonymous": 32 * MEBIBYTE, "files": 24, "threads": 6}
"""Between the first third behind the warm-up and the last: more is a leak, or will be one in an hour."""
SUBJECTS = ("the invoice", "our harbour", "a kernel", "the violin", "her glacier", "that budget", "the orchard")
EVENTS = ("was moved to Tuesday", "needs a second look", "failed in the night", "is Priya's now", "got cheaper")
MODES = ("hybrid", "hybrid", "semantic", "keyword", "exact")
FIGURES = ("/api/storage/stats", "/api/tags", "/metrics", "/api/health")
MIX = {"store": 30, "update": 10, "list": 5, "figures": 5, "search by tag": 5, "search": 45}
"""Requests of each kind in a hundred; deletions come on top, as many as were stored."""


@dataclass(frozen=True)
class Sample:
    seconds: float
    held: Held
    requests: int


class Client:
    """Stores, searches, lists, changes and deletes, in that proportion to each other which people's assistants have."""

    def __init__(self, name: int, counts: Counter[str]) -> None:
        self._name = name
        self._random = random.Random(name)
        self._counts = counts
        self._stored: deque[str] = deque()
        self._number = 0

    async def run(self, connection: Connection, deadline: float) -> None:
        while time.monotonic() < deadline:
            name, request = self._next()
            self._counts[name] += 1
            await connection.send(request.encode())

    def _next(self) -> tuple[str, Request]:
        if len(self._stored) > KEPT_EACH:
            return "delete", Request("DELETE", f"/api/memories/{self._stored.popleft()}")
        (kind,) = self._random.choices(list(MIX), list(MIX.values())) if self._stored else ("store",)
        return kind, self._request(kind)

    def _request(self, kind: str) -> Request:
        match kind:
            case "store":
                text = self._text()
                self._stored.append(content_hash(text))
                memory = {"content": text, "tags": [f"client-{self._name}"], "metadata": {"number": self._number}}
                request = Request("POST", "/api/memories", memory)
            case "update":
                change = {"metadata": {"seen": self._number}, "tags": [f"client-{self._name}", "seen"]}
                request = Request("PUT", f"/api/memories/{self._random.choice(self._stored)}", change)
            case "list":
                request = Request("GET", "/api/memories?page_size=50")
            case "figures":
                request = Request("GET", self._random.choice(FIGURES))
            case "search by tag":
                request = Request("POST", "/api/search/by-tag", {"tags": ["seen"], "limit": 20})
            case _:
                request = search(self._random.choice(SUBJECTS), mode=self._random.choice(MODES))
        return request

    def _text(self) -> str:
        self._number += 1
        sentences = self._random.randint(1, 12)
        parts = [f"{self._random.choice(SUBJECTS)} {self._random.choice(EVENTS)}" for _ in range(sentences)]
        return f"{'; '.join(parts)} ({self._name}-{self._number})"


async def load(server: Server, seconds: float) -> tuple[list[Sample], Counter[str]]:
    """Samples over the whole time, and how many requests of each kind were answered."""
    counts: Counter[str] = Counter()
    started = time.monotonic()
    samples: list[Sample] = []

    async def client(name: int) -> None:
        async with connected(server.port) as connection:
            await Client(name, counts).run(connection, started + seconds)

    clients = [asyncio.create_task(client(name)) for name in range(CLIENTS)]
    while not all(task.done() for task in clients):
        held = await asyncio.to_thread(server.held)
        samples.append(Sample(time.monotonic() - started, held, counts.total()))
        await asyncio.wait(clients, timeout=seconds / SAMPLES, return_when=asyncio.FIRST_EXCEPTION)
        for task in clients:
            if task.done():
                task.result()
    return samples, counts


def judge(samples: Sequence[Sample], seconds: float) -> list[str]:
    """What grew beyond its bound, in words."""
    judged = [sample for sample in samples if sample.seconds >= WARM_UP * seconds]
    if len(judged) < 6:
        return [f"only {len(judged)} samples behind the warm-up: let it run longer"]
    third = len(judged) // 3
    faults = []
    for name, most in MOST_GROWTH.items():
        before, after = (
            statistics.median(getattr(sample.held, name) for sample in part)
            for part in (judged[:third], judged[-third:])
        )
        scale = MEBIBYTE if name == "anonymous" else 1
        words = (
            f"{name}: {before / scale:.0f} at first, {after / scale:.0f} at last, at most {most // scale} more allowed"
        )
        print(words)
        if after - before > most:
            faults.append(words)
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="mcp-memory-soak-") as folder, serving(Path(folder)) as server:
        samples, counts = asyncio.run(load(server, seconds))
        print("seconds  requests  anonymous MiB  PSS MiB  RSS MiB  files  threads  PSS of each")
        for sample in samples[:: max(1, len(samples) // 12)]:
            held = sample.held
            memory = "".join(f"{value / MEBIBYTE:8.0f}" for value in (held.anonymous, held.pss, held.rss))
            print(
                f"{sample.seconds:7.0f} {sample.requests:9,}      {memory}  {held.files:5}  {held.threads:7}  {held.by_process}"
            )
        print(
            f"{counts.total():,} requests, none failed: {', '.join(f'{count:,} {name}' for name, count in counts.most_common())}"
        )
    faults = judge(samples, seconds)
    for fault in faults:
        print(f"grows: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
