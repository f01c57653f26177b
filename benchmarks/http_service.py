"""Figures of the service through HTTP: start, memory, store one, bulk store, search alone and with eight clients.

usage: python -m benchmarks.http_service [MEMORIES]

Starts `memory server` on a folder of its own; MEMORIES (10,000) real texts of this machine are stored first.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from benchmarks import corpus

STARTS = 5
BULK = 250
SEARCHES = 400
CLIENTS = 8
QUERIES = [
    "how do I open a file for writing",
    "parse a date from a string",
    "wait for a child process",
    "compress data with gzip",
    "regular expression groups",
    "set a timeout on a socket",
    "sort a list by a key",
    "environment variables of a command",
]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory(prefix="mcp-memory-bench-") as folder:
        environment = os.environ | {"MCP_MEMORY_BASE_DIR": folder, "LOG_LEVEL": "warning"}
        with serving(environment):
            """The first start may make the model's graph: not counted."""
        starts, rss, pss = zip(*(start_once(environment) for _ in range(STARTS)), strict=True)
        print(f"start to first healthy answer   {statistics.median(starts):8.2f} s  (median of {STARTS})")
        print(f"idle memory, all processes      {max(rss):8.0f} MB RSS, {max(pss):.0f} MB PSS")
        with serving(environment) as (url, _):
            asyncio.run(measure(url, count))


def start_once(environment: dict[str, str]) -> tuple[float, float, float]:
    """Seconds to the first healthy answer; MB of all processes five seconds later, when /mcp is loaded too."""
    started = time.perf_counter()
    with serving(environment) as (_, pid):
        seconds = time.perf_counter() - started
        time.sleep(5)
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        memory = [process.memory_full_info() for process in processes]
    return seconds, sum(part.rss for part in memory) / 1e6, sum(part.pss for part in memory) / 1e6


async def measure(url: str, count: int) -> None:
    texts = list(corpus.memories(count))
    async with httpx.AsyncClient(base_url=url, timeout=300) as client:
        started = time.perf_counter()
        for begin in range(0, len(texts), BULK):
            items = [{"content": text["content"], "tags": text["tags"]} for text in texts[begin : begin + BULK]]
            (await client.post("/api/memories/bulk", json={"memories": items})).raise_for_status()
        print(f"bulk store, {len(texts)} texts      {len(texts) / (time.perf_counter() - started):8.0f} memories/s")

        async def store(number: int) -> None:
            (await client.post("/api/memories", json={"content": f"A single note, number {number}"})).raise_for_status()

        async def search(number: int) -> None:
            body = {"query": QUERIES[number % len(QUERIES)], "n_results": 10}
            (await client.post("/api/search", json=body)).raise_for_status()

        await show("store one", store, 100)
        await show("search", search, SEARCHES)
        started = time.perf_counter()
        await asyncio.gather(*(several(search, name) for name in range(CLIENTS)))
        rate = CLIENTS * SEARCHES / (time.perf_counter() - started)
        print(f"search, {CLIENTS} clients               {rate:8.0f} searches/s")


async def several(search: Callable[[int], Awaitable[None]], name: int) -> None:
    for number in range(SEARCHES):
        await search(name + number)


async def show(name: str, work: Callable[[int], Awaitable[None]], times: int) -> None:
    for number in range(10):
        await work(-1 - number)
    milliseconds = []
    for number in range(times):
        started = time.perf_counter()
        await work(number)
        milliseconds.append((time.perf_counter() - started) * 1000)
    milliseconds.sort()
    p50, p99 = milliseconds[times // 2], milliseconds[times * 99 // 100]
    print(f"{name:32}{p50:8.1f} ms p50, {p99:.1f} ms p99")


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    """A healthy server: its URL and process."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = [str(Path(sys.executable).with_name("memory")), "server", "--http"]
    process = subprocess.Popen(command, env=environment | {"MCP_HTTP_PORT": str(port)}, stdin=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while not healthy(url):
            if process.poll() is not None:
                sys.exit(f"the server ended with {process.returncode}")
            time.sleep(0.01)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(30)


def healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/health", timeout=60) as answer:
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False


if __name__ == "__main__":
    main()
