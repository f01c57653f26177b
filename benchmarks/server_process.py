"""A Qdrant server of a benchmark's own, from the binary that QDRANT_BIN names."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil


class ServerProcess:
    """Started on a free loopback port, storage below `folder`."""

    def __init__(self, folder: Path) -> None:
        program = os.environ.get("QDRANT_BIN")
        if not program:
            sys.exit("Set QDRANT_BIN to a qdrant binary, version 1.19 or later.")
        self._program = Path(program).resolve()
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        environment = {
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(self._port),
            "QDRANT__SERVICE__GRPC_PORT": "0",
            "QDRANT__LOG_LEVEL": "WARN",
        }
        self._process = subprocess.Popen(
            [str(self._program), "--disable-telemetry"],
            cwd=self._folder,
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
        self._process.terminate()
        self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def memory(self) -> tuple[float, float]:
        """(anonymous, mapped files) resident MB."""
        found = psutil.Process(self._process.pid).memory_full_info()
        return (found.rss - found.shared) / 1e6, found.shared / 1e6
