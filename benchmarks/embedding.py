"""The default model: start, memory, speed. Prints one line a figure.

usage: python -m benchmarks.embedding [--model-path FOLDER] [--threads N]

CPU seconds are printed beside the wall clock: on a machine that others use, they are what can be compared.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

SHORT = "The staging cluster runs in Frankfurt, production in Dublin; ask Lena for access, number {}."
WINDOW = "word " * 254
LONG = "The train to Utrecht leaves from platform 5b at 07:52 on weekdays. " * 300


def memory() -> str:
    """Resident, proportional and anonymous memory of this process in MiB, where the kernel says it."""
    rollup = Path("/proc/self/smaps_rollup")
    if not rollup.exists():
        return "memory unknown on this platform"
    fields = {line.split()[0]: int(line.split()[1]) / 1024 for line in rollup.read_text("ascii").splitlines()[1:]}
    return f"RSS {fields['Rss:']:.0f} MiB, PSS {fields['Pss:']:.0f} MiB, anonymous {fields['Pss_Anon:']:.0f} MiB"


def say(what: str, figure: str) -> None:
    print(f"{what:<44}{figure}", flush=True)


async def rate(what: str, unit: str, count: int, work: Callable[[], Awaitable[object]]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    say(what, f"{count / wall:.1f} {unit}/s, {1000 * cpu / count:.1f} ms CPU each; {memory()}")


async def run(model_path: Path | None, threads: int | None) -> None:
    started = time.perf_counter()
    from mcp_memory.embedding.base import TextKind  # noqa: PLC0415  (the import is part of what is timed)
    from mcp_memory.embedding.select import EmbeddingOptions, build_embedder, build_provider  # noqa: PLC0415

    options = EmbeddingOptions(model_path=model_path, threads=threads)
    provider = build_provider(options)
    loaded = time.perf_counter()
    provider.embed(["first"], TextKind.QUERY)
    say("import and load", f"{loaded - started:.2f} s, first vector {time.perf_counter() - loaded:.3f} s; {memory()}")

    times, cpu = [], time.process_time()
    for number in range(200):
        before = time.perf_counter()
        provider.embed([SHORT.format(number)], TextKind.QUERY)
        times.append(1000 * (time.perf_counter() - before))
    cpu = 1000 * (time.process_time() - cpu) / len(times)
    quantiles = statistics.quantiles(times, n=100)
    say(
        "one short text",
        f"p50 {quantiles[49]:.1f} ms, p99 {quantiles[98]:.1f} ms, best {min(times):.1f} ms, {cpu:.1f} ms CPU",
    )
    del provider

    embedder = build_embedder(options)
    texts = [SHORT.format(number) for number in range(320)]
    await rate("short texts, one request", "texts", 320, lambda: embedder.embed_documents(texts))
    await rate("short queries, 8 callers", "texts", 320, lambda: _callers(embedder.embed_query, texts))
    await rate("full windows, one request", "windows", 16, lambda: embedder.embed_documents([WINDOW] * 16))
    bulk = asyncio.ensure_future(embedder.embed_documents([LONG] * 4))
    await asyncio.sleep(0.2)
    waits = []
    while not bulk.done():
        before = time.perf_counter()
        await embedder.embed_query("where does the train leave")
        waits.append(1000 * (time.perf_counter() - before))
    await bulk
    say(
        "a query while long texts are embedded",
        f"p50 {statistics.median(waits):.0f} ms, worst {max(waits):.0f} ms of {len(waits)}",
    )
    say("at the end", memory())
    await embedder.close()


async def _callers(embed: Callable[[str], Awaitable[object]], texts: list[str]) -> None:
    waiting = iter(texts)

    async def caller() -> None:
        for text in waiting:
            await embed(text)

    await asyncio.gather(*(caller() for _ in range(8)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedding", description=__doc__)
    parser.add_argument("--model-path", type=Path)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    idle = "import time; from pathlib import Path; from benchmarks.embedding import memory; print(memory())"
    say(
        "Python alone",
        subprocess.run([sys.executable, "-c", idle], capture_output=True, text=True, check=True).stdout.strip(),
    )
    asyncio.run(run(arguments.model_path, arguments.threads))
    return 0


if __name__ == "__main__":
    sys.exit(main())
