"""A Qdrant server for tests: one that runs (QDRANT_TEST_URL), a binary (QDRANT_BIN), or the image, in that order.

Servers of a binary and of the image are ours: on free loopback ports, with storage below tmp_path, ended with the test.
A running server is somebody's: tests use collections of their own there and drop them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
import pytest

IMAGE = "qdrant/qdrant:v1.19.0"
UNPRIVILEGED_IMAGE = f"{IMAGE}-unprivileged"
"""What installations run: compose, the chart."""
NO_SERVER = (
    "needs a Qdrant server >= 1.19: set QDRANT_TEST_URL to one that runs, or QDRANT_BIN to a qdrant binary, "
    f"or pull the image {IMAGE}"
)
NO_PROCESS = (
    "needs a Qdrant server that the test may kill: set QDRANT_BIN to a qdrant binary, "
    f"or pull the image {IMAGE} (QDRANT_TEST_URL alone isn't enough here)"
)
START_SECONDS = 60.0
NEWS_SECONDS = 12.0
"""A node that notices that a replica missed a write stops using it and tells the others, where there is no leader again after 1,
2, 4, 8 and 10 s: until then the replica looks Active, and to take the node of the only other one away takes the shard away."""
STOP_SECONDS = 30.0
UNTIL_STDIN_ENDS = '/qdrant/qdrant "$@" & cat > /dev/null; kill $!; wait'
"""A container that ends with the test run, however that ends: its standard input is a pipe that only the run holds open."""


def _end_with_the_tests() -> None:
    """In the child: the kernel kills it when the test run dies (PR_SET_PDEATHSIG), even by SIGKILL."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def binary() -> Path | None:
    """The server's binary where one is named."""
    named = os.environ.get("QDRANT_BIN")
    if not named:
        return None
    path = Path(named)
    if not os.access(path, os.X_OK):
        pytest.fail(f"QDRANT_BIN={named} is not an executable file")
    return path


def image_present() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    looked = subprocess.run([docker, "image", "inspect", IMAGE], capture_output=True, check=False)
    return looked.returncode == 0


def _docker(command: str, container: str) -> None:
    """`docker kill` or `docker wait` of a container that may already be gone, which is as good."""
    subprocess.run(["docker", command, container], capture_output=True, check=False, timeout=STOP_SECONDS)


@dataclass
class QdrantServer:
    """One server process (or container) that a test starts, stops and kills."""

    folder: Path
    api_key: str | None = None
    bootstrap: str | None = None
    """Address of a cluster's first peer; "" for that peer itself; None outside a cluster."""
    environment: dict[str, str] = field(default_factory=dict)
    authority: Path | None = None
    """PEM file of the authority that signed its certificate; None: plain HTTP."""
    http_port: int = field(default_factory=free_port)
    grpc_port: int = field(default_factory=free_port)
    p2p_port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None
    _container: str | None = None

    @property
    def url(self) -> str:
        return f"{'http' if self.authority is None else 'https'}://127.0.0.1:{self.http_port}"

    @property
    def peer(self) -> str:
        return f"http://127.0.0.1:{self.p2p_port}"

    @property
    def log(self) -> Path:
        return self.folder / "qdrant.log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._container is None, "only a server of a binary has a pid here"
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(self.http_port),
            "QDRANT__SERVICE__GRPC_PORT": str(self.grpc_port),
            "QDRANT__STORAGE__STORAGE_PATH": "./storage",
            "QDRANT__STORAGE__SNAPSHOTS_PATH": "./snapshots",
            "QDRANT__TELEMETRY_DISABLED": "true",
            "QDRANT__LOG_LEVEL": "INFO",
        } | self.environment
        if self.api_key is not None:
            settings["QDRANT__SERVICE__API_KEY"] = self.api_key
        arguments = ["--disable-telemetry"]
        if self.bootstrap is not None:
            settings |= {
                "QDRANT__CLUSTER__ENABLED": "true",
                "QDRANT__CLUSTER__P2P__PORT": str(self.p2p_port),
                "QDRANT__CLUSTER__CONSENSUS__TICK_PERIOD_MS": "100",
            }
            arguments += ["--uri", self.peer] + (["--bootstrap", self.bootstrap] if self.bootstrap else [])
        program = binary()
        if program is not None:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [str(program.resolve()), *arguments],
                    cwd=self.folder,
                    env={"PATH": os.environ.get("PATH", "")} | settings,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    preexec_fn=_end_with_the_tests if sys.platform == "linux" else None,  # noqa: PLW1509
                )
        else:
            self._start_container(settings, arguments)
        if wait:
            self.wait_until_ready()

    def _start_container(self, settings: dict[str, str], arguments: list[str]) -> None:
        self._container = f"qdrant-test-{uuid.uuid4().hex[:12]}"
        command = ["docker", "run", "--interactive", "--rm", "--name", self._container, "--network", "host"]
        command += ["--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{self.folder}:/data", "--workdir", "/data"]
        for name, value in settings.items():
            command += ["--env", f"{name}={value}"]
        command += ["--entrypoint", "/bin/bash", IMAGE, "-c", UNTIL_STDIN_ENDS, "qdrant", *arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)

    def wait_until_ready(self) -> None:
        """Raises with the end of the log when the server ends, or doesn't answer in time."""
        deadline = time.monotonic() + START_SECONDS
        trust = True if self.authority is None else ssl.create_default_context(cafile=self.authority)
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", timeout=2.0, verify=trust).status_code == httpx.codes.OK:
                    return
            if self._process is not None and self._process.poll() is not None:
                break
            time.sleep(0.05)
        tail = self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
        raise RuntimeError(f"qdrant on port {self.http_port} did not become ready:\n{tail}")

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, container = self._process, self._container
        self._process = self._container = None
        if process is None:
            return
        if container is None:
            if process.poll() is None:
                process.send_signal(how)
        elif how is signal.SIGKILL:
            _docker("kill", container)
        elif process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            if container is not None:
                _docker("kill", container)
            process.kill()
            process.wait()
        if container is not None:
            # The client may be gone before the container is: a next one would find the storage locked.
            _docker("wait", container)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None


@contextlib.contextmanager
def own_server(
    folder: Path,
    *,
    api_key: str | None = None,
    environment: dict[str, str] | None = None,
    authority: Path | None = None,
) -> Iterator[QdrantServer]:
    """A server that the test may kill; skips where neither binary nor image is there."""
    if binary() is None and not image_present():
        pytest.skip(NO_PROCESS)
    server = QdrantServer(folder, api_key=api_key, environment=environment or {}, authority=authority)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def any_server(folder: Path) -> Iterator[str]:
    """The address of a server: the running one, or one of ours; skips where there is none."""
    running = os.environ.get("QDRANT_TEST_URL")
    if running:
        yield running
        return
    if binary() is None and not image_present():
        pytest.skip(NO_SERVER)
    with own_server(folder) as server:
        yield server.url


@contextlib.contextmanager
def cluster(folder: Path, nodes: int = 3) -> Iterator[list[QdrantServer]]:
    """A cluster of our own, each node aware of all the others."""
    if binary() is None and not image_present():
        pytest.skip(NO_PROCESS)
    servers = [QdrantServer(folder / f"node{number}", bootstrap="") for number in range(nodes)]
    try:
        servers[0].start()
        for server in servers[1:]:
            server.bootstrap = servers[0].peer
            server.start()
        wait_for_peers(servers)
        yield servers
    finally:
        for server in servers:
            server.stop()


class Node(Protocol):
    """A node of a cluster, as a process or in a container."""

    @property
    def url(self) -> str: ...

    @property
    def running(self) -> bool: ...

    @property
    def log(self) -> object:
        """What it printed, or where that stands."""


def wait_for_peers(servers: Sequence[Node], *, api_key: str | None = None) -> None:
    """Until every running node counts every node and knows a leader."""
    headers = {"api-key": api_key} if api_key else {}
    deadline = time.monotonic() + START_SECONDS
    for server in servers:
        if not server.running:
            continue
        while True:
            with contextlib.suppress(httpx.TransportError):
                status = httpx.get(f"{server.url}/cluster", timeout=2.0, headers=headers).json()["result"]
                if len(status["peers"]) == len(servers) and status["raft_info"]["leader"]:
                    break
            if time.monotonic() > deadline:
                raise RuntimeError(f"the node at {server.url} did not join the cluster: {server.log}")
            time.sleep(0.1)


def wait_for_replicas(
    servers: Sequence[Node],
    collection: str,
    *,
    api_key: str | None = None,
    steady: float = 0.0,
    patience: float = START_SECONDS,
) -> None:
    """Until every replica of the collection is Active as each of these nodes sees it, and has been for `steady` seconds.

    Behind a node's end that is NEWS_SECONDS: only then every replica that missed a write is known, and made whole again.
    """
    headers = {"api-key": api_key} if api_key else {}
    deadline = time.monotonic() + patience + steady
    since = None
    while time.monotonic() < deadline:
        if not all(_replicas_are_active(server, collection, headers) for server in servers):
            since = None
        elif since is None:
            since = time.monotonic()
        if since is not None and time.monotonic() - since >= steady:
            return
        time.sleep(0.1)
    raise RuntimeError(f"the replicas of {collection} did not all become Active: {[server.log for server in servers]}")


def _replicas_are_active(server: Node, collection: str, headers: dict[str, str]) -> bool:
    with contextlib.suppress(httpx.TransportError, KeyError):
        answer = httpx.get(f"{server.url}/collections/{collection}/cluster", timeout=5.0, headers=headers).json()
        found = answer["result"]
        replicas = found["local_shards"] + found["remote_shards"]
        return bool(replicas) and not found["shard_transfers"] and all(one["state"] == "Active" for one in replicas)
    return False
