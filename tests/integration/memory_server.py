"""`memory server` as a process of its own, with an embedded store and the real model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_SECONDS = 120.0
"""For a loaded machine: a start takes two seconds on an idle one."""
COMMAND = [sys.executable, "-m", "mcp_memory.cli", "server", "--http"]


@dataclass
class MemoryServer:
    """A running server. Its log is a file, so that no pipe fills up."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, **options)  # type: ignore[arg-type]

    def async_client(self, **options: object) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=60, **options)  # type: ignore[arg-type]

    def wait_until_ready(self, probe: str = "/readyz") -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log}")
            try:
                if httpx.get(f"{self.url}{probe}", timeout=60).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the server is not ready:\n{self.log}")

    def stop(self, number: int = signal.SIGTERM, *, timeout: float = 30) -> int:
        """Send a signal and wait for the end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)


def environment(base: Path, port: int, **variables: str) -> dict[str, str]:
    """This process's environment without settings of the service, and with these."""
    prefixes = ("MCP_", "QDRANT_", "OPENAI_", "LOG_LEVEL", "WEB_CONCURRENCY")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return kept | {"MCP_MEMORY_BASE_DIR": str(base), "MCP_HTTP_PORT": str(port)} | variables


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def memory_server(base: Path, *, probe: str = "/readyz", **variables: str) -> Iterator[MemoryServer]:
    """Start a server on a free port and wait until the probe answers 200; at the end it is stopped, whatever happened."""
    port = free_port()
    log_path = base / "server.log"
    base.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            COMMAND,
            env=environment(base, port, **variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server = MemoryServer(process, f"http://127.0.0.1:{port}", base, log_path)
    try:
        server.wait_until_ready(probe)
        yield server
    finally:
        try:
            server.stop()
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run_until_it_ends(base: Path, port: int, **variables: str) -> subprocess.CompletedProcess[str]:
    """For starts that are to fail."""
    return subprocess.run(
        COMMAND,
        env=environment(base, port, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )
