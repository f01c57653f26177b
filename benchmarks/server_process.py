"""A Qdrant server of a benchmark's own, from the binary that QDRANT_BIN names."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil

STOP_SECONDS = 30


class ServerProcess:
    """Started on free loopback ports, storage below `folder`.

    `bootstrap` makes it a node of a cluster: "" the first one, else the peer address of another.
    """

    def __init__(self, folder: Path, *, bootstrap: str | None = None) -> None:
        program = os.environ.get("QDRANT_BIN")
        if not program:
            sys.exit("Set QDRANT_BIN to a qdrant binary, version 1.19 or later.")
        self._program = Path(program).resolve()
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._port, self.grpc_port, self._peer_port = _free_ports(3)
        self._bootstrap = bootstrap
        self.url = f"http://127.0.0.1:{self._port}"
        self.peer = f"http://127.0.0.1:{self._peer_port}"
        self.start()

    def start(self) -> None:
        environment = {
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(self._port),
            "QDRANT__SERVICE__GRPC_PORT": str(self.grpc_port),
            "QDRANT__LOG_LEVEL": "WARN",
        }
        arguments = ["--disable-telemetry"]
        if self._bootstrap is not None:
            environment |= {"QDRANT__CLUSTER__ENABLED": "true", "QDRANT__CLUSTER__P2P__PORT": str(self._peer_port)}
            arguments += ["--uri", self.peer] + (["--bootstrap", self._bootstrap] if self._bootstrap else [])
        self._process = subprocess.Popen(
            [str(self._program), *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        sys.exit("The Qdrant server did not become ready.")

    def stop(self) -> None:
        """End it in order; the last node of a cluster, which waits for the others, after a while."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def memory(self) -> tuple[float, float]:
        """(anonymous, mapped files) resident MB."""
        found = psutil.Process(self._process.pid).memory_full_info()
        return (found.rss - found.shared) / 1e6, found.shared / 1e6


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
