"""All figures of docs/benchmarks.md that the service itself has, measured now.

usage: python -m benchmarks [--memories N] [--texts M] [--only start|store|search] [--no-quantization]

The first run embeds N texts of this machine (10,000: a minute or two) and keeps their vectors in the user's cache; with --texts
only M of them, and makes the rest variations of these.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import embedded_corpus, searching, startup, storing
from mcp_memory import __version__

PARTS = ("start", "store", "search")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--memories", type=int, default=10_000, help="size of the store that is searched (10,000)")
    parser.add_argument("--texts", type=int, help="real texts at most; beyond them, variations of these with noise")
    parser.add_argument("--no-quantization", action="store_true", help="search without binary quantization alone")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part alone; may be repeated")
    arguments = parser.parse_args()
    parts = arguments.only or PARTS
    count = max(arguments.memories, 2_000)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    print(
        f"mcp-memory {__version__}, Python {platform.python_version()}, {platform.machine()}, "
        f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores, "
        f"load before {load}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    )
    corpus = None if parts == ["start"] else asyncio.run(embedded_corpus.load(min(count, arguments.texts or count)))
    with tempfile.TemporaryDirectory(prefix="mcp-memory-bench-") as name:
        if "start" in parts:
            startup.measure(_folder(name, "start"))
        if corpus is not None and "store" in parts:
            storing.measure(_folder(name, "store"), corpus.texts)
        if corpus is not None and "search" in parts:
            searching.measure(_folder(name, "plain"), corpus, count, quantized=False)
            if not arguments.no_quantization:
                searching.measure(_folder(name, "quantized"), corpus, count, quantized=True)


def _folder(parent: str, name: str) -> Path:
    folder = Path(parent) / name
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
