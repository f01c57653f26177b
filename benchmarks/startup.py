"""How long things take to start, and what they hold then."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.server import MEBIBYTE, environment, serving
from benchmarks.table import Table

TIMES = 5
SETTLE_SECONDS = 5.0
"""What loads behind the first answer has loaded by then."""
ENTRY_POINTS = {
    "memory mcp": "mcp_memory.cli.bridge",
    "memory store, search, ...": "mcp_memory.cli.app",
    "the master of memory server": "mcp_memory.http.gunicorn_server",
    "its worker": "mcp_memory.http.app",
    "the engine": "mcp_memory.storage.qdrant_embedded.engine",
}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "benchmark", "version": "1"},
    },
}


def measure(folder: Path) -> None:
    """Empty stores below the folder; the model's graph is in the user's cache after the first start."""
    table = Table("Start and idle memory")
    with serving(folder):
        pass
    starts, cpu = [], []
    for _ in range(TIMES):
        with serving(folder) as server:
            cpu.append(server.cpu_seconds())
            starts.append(server.seconds_to_healthy)
    compared = f"the original: 3.4 s; {statistics.median(cpu):.1f} s CPU"
    table.row("`memory server` to the first healthy answer", _median(starts), "<= 2 s", compared)
    with serving(folder) as server:
        time.sleep(SETTLE_SECONDS)
        held = server.held()
        _row_of_memory(table, "idle, before the first request", held.rss, held.pss, f"PSS in MiB: {held.by_process}")
        server.memory("store", "The first memory loads what storing needs")
        server.memory("search", "what storing needs")
        held = server.held()
        _row_of_memory(table, "after a first store and search", held.rss, held.pss, f"PSS in MiB: {held.by_process}")
        attached = [_seconds_to_initialize(server.environment) for _ in range(TIMES)]
    table.row("`memory mcp` to the answer of initialize, beside a server", _median(attached), "<= 0.5 s")
    alone = []
    for number in range(TIMES):
        (folder / f"alone-{number}").mkdir()
        settings = environment(folder / f"alone-{number}", MCP_OWNER_IDLE_SECONDS="1")
        alone.append(_seconds_to_initialize(settings))
    table.row("`memory mcp` to the answer of initialize, alone", _median(alone), "<= 0.5 s")
    imports()


def imports() -> None:
    """`python -X importtime`: the sum over all modules, which costs a little more than a plain import."""
    table = Table("Imports of the entry points (python -X importtime)")
    nothing = _import_seconds("sys")
    for name, module in ENTRY_POINTS.items():
        seconds, modules = _fastest(lambda module=module: _import_seconds(module))  # type: ignore[misc]
        table.row(f"{name} ({module})", f"{1000 * (seconds - nothing[0]):.0f} ms, {modules - nothing[1]} modules")


def _row_of_memory(table: Table, what: str, rss: int, pss: int, compared: str) -> None:
    measured = f"{pss / MEBIBYTE:.0f} MiB PSS ({rss / MEBIBYTE:.0f} MiB RSS)"
    table.row(f"resident memory of all processes, {what}", measured, "<= 250 MB", f"the original: 337 MB; {compared}")


def _seconds_to_initialize(settings: dict[str, str]) -> float:
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "mcp_memory.cli", "mcp"],
        env=settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        seconds = time.perf_counter() - started
        process.stdin.close()
    assert "serverInfo" in answer["result"], answer
    return seconds


def _import_seconds(module: str) -> tuple[float, int]:
    """Seconds of all imports, and how many modules."""
    report = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"], capture_output=True, text=True, check=True
    ).stderr
    own = [
        int(line.split(":", 1)[1].split("|")[0]) for line in report.splitlines()[1:] if line.startswith("import time:")
    ]
    return sum(own) / 1e6, len(own)


def _fastest(measured: Callable[[], tuple[float, int]]) -> tuple[float, int]:
    return min(measured() for _ in range(TIMES))


def _median(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"
