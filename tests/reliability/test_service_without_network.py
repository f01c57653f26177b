"""The whole service with the default model on a machine that has no network, from its very first start."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from integration.memory_server import COMMAND, START_SECONDS, environment, free_port

pytestmark = pytest.mark.slow

PROBE = """
import socket, sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())
try:
    socket.create_connection(("192.0.2.1", 443), timeout=5)
except OSError as error:
    print(error)
"""


def namespace() -> list[str]:
    """The command that runs another without a network; skips where this user may not."""
    command = ["unshare", "--net"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("needs a network namespace of its own: run as root, in a container with CAP_SYS_ADMIN")
    return [*command, sys.executable, str(Path(__file__).with_name("without_network.py"))]


def test_the_service_stores_and_finds_with_the_network_cut_off(tmp_path: Path) -> None:
    alone = namespace()
    port = free_port()
    # An empty cache: the model's graph is made here and now too.
    variables = environment(tmp_path, port, MCP_EMBEDDING_CACHE_DIR=str(tmp_path / "cache"))

    def memory(*arguments: str) -> str:
        """The command line; it finds the server by its socket in the storage folder."""
        return subprocess.run(
            [sys.executable, "-m", "mcp_memory.cli", *arguments],
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout

    log = tmp_path / "server.log"
    with log.open("wb") as target:
        server = subprocess.Popen(
            [*alone, *COMMAND], env=variables, stdin=subprocess.DEVNULL, stdout=target, stderr=target
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while '"serving"' not in log.read_text(encoding="utf-8"):
            assert server.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.05)
        memory("store", "The lighthouse keeper feeds the gulls at dawn")
        memory("store", "Interest rates were raised by a quarter point")
        found = json.loads(memory("search", "birds in the morning", "--json"))
        assert found["results"][0]["memory"]["content"].startswith("The lighthouse keeper")
        probe = ["nsenter", "--net", "--target", str(server.pid), sys.executable, "-c", PROBE]
        answer = subprocess.run(
            [*probe, f"http://127.0.0.1:{port}/api/health"], capture_output=True, text=True, check=True, timeout=120
        ).stdout
        assert '"status":"ok"' in answer
        assert "unreachable" in answer
        assert '"pid":' + str(server.pid) in log.read_text(encoding="utf-8")
        levels = [json.loads(line)["level"] for line in log.read_text(encoding="utf-8").splitlines()]
        assert set(levels) == {"info"}, log.read_text(encoding="utf-8")
    finally:
        server.terminate()
        assert server.wait(30) == 0, log.read_text(encoding="utf-8")
