"""`memory server` as a process of its own, and what its processes hold."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from mcp_memory.storage.qdrant_embedded.folder import StorageFolder
from mcp_memory.storage.qdrant_embedded.lock import holder

MEBIBYTE = 1024 * 1024
SETTINGS = ("MCP_", "QDRANT_", "OPENAI_", "LOG_LEVEL", "WEB_CONCURRENCY")


@dataclass(frozen=True)
class Held:
    """What all processes of a server hold together. Memory in bytes; shared pages count once in `pss`.

    `anonymous` leaves out mapped files, which the kernel takes back when it needs the room; where it isn't known it is `pss`.
    """

    rss: int
    pss: int
    anonymous: int
    files: int
    threads: int
    by_process: str
    """PSS of each, for people."""


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    environment: dict[str, str]
    seconds_to_healthy: float

    def processes(self) -> list[psutil.Process]:
        """Master, workers and engine. An engine that took over with a new generation isn't a child any more."""
        master = psutil.Process(self.process.pid)
        found = [master, *master.children(recursive=True)]
        engine = holder(StorageFolder(self.folder / "qdrant").lock)
        if engine is not None and engine not in {process.pid for process in found} and psutil.pid_exists(engine):
            found.append(psutil.Process(engine))
        return found

    def held(self) -> Held:
        processes = self.processes()
        memory = [process.memory_full_info() for process in processes]
        pss = [getattr(info, "pss", info.uss) for info in memory]
        names = ["master", "worker", "engine"] if len(processes) == 3 else [str(process.pid) for process in processes]
        return Held(
            rss=sum(info.rss for info in memory),
            pss=sum(pss),
            anonymous=sum(
                anonymous_bytes(process, otherwise=share) for process, share in zip(processes, pss, strict=True)
            ),
            files=sum(process.num_fds() if sys.platform != "win32" else 0 for process in processes),
            threads=sum(process.num_threads() for process in processes),
            by_process=", ".join(f"{name} {share / MEBIBYTE:.0f}" for name, share in zip(names, pss, strict=True)),
        )

    def cpu_seconds(self) -> float:
        """User and system time of all processes so far."""
        times = [process.cpu_times() for process in self.processes()]
        return float(sum(part.user + part.system for part in times))

    def memory(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A `memory` command, which finds this server by itself."""
        return subprocess.run(
            [sys.executable, "-m", "mcp_memory.cli", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )


def anonymous_bytes(process: psutil.Process, *, otherwise: int) -> int:
    rollup = Path(f"/proc/{process.pid}/smaps_rollup")
    if not rollup.exists():
        return otherwise
    fields = dict(line.split(":", 1) for line in rollup.read_text(encoding="ascii").splitlines()[1:])
    return int(fields["Pss_Anon"].split()[0]) * 1024 if "Pss_Anon" in fields else otherwise


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """This process's without settings of the service, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    return kept | {"MCP_MEMORY_BASE_DIR": str(folder), "LOG_LEVEL": "warning"} | variables


@contextmanager
def serving(folder: Path, **variables: str) -> Iterator[Server]:
    """A healthy server on a free port; its log is `server.log` in the folder. Stopped at the end."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    settings = environment(folder, MCP_HTTP_PORT=str(port), **variables)
    with (folder / "server.log").open("ab") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "mcp_memory.cli", "server", "--http"],
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        while not _healthy(port):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode}: see {folder / 'server.log'}")
            time.sleep(0.002)
        yield Server(process, port, folder, settings, time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait(30)


def _healthy(port: int) -> bool:
    """A connection that is taken early waits for its answer: no time is lost between two looks."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=60):
            return True
    except urllib.error.URLError:
        return False
