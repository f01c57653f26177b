"""A container of a test's network: unique name, owner's label, ports on loopback, readiness asked by HTTP."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import httpx
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from containers.leftovers import labels
from engine import Image
from engine import docker as docker_command

LOCKED_DOWN: Mapping[str, Any] = {
    "user": "1000:1000",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}
"""As compose and the chart run everything."""


START_SECONDS, EMULATED_START_SECONDS = 120.0, 600.0
"""Patience with a start on a machine that does much else: one under emulation took three minutes while another suite ran."""

COVERAGE_FOLDER = os.environ.get("TEST_COVERAGE_FOLDER")
"""Where an image that counts its own lines leaves its figures (`make coverage`)."""


class RunningContainer(DockerContainer):
    """One container, from `start` to `close`. Whoever starts it again asks for its address again: the port is another one."""

    port: ClassVar[int]
    ready_path: ClassVar[str] = "/readyz"

    def __init__(
        self,
        image: Image,
        network: Network | None,
        aliases: Sequence[str] = (),
        *,
        command: Sequence[str] = (),
        entrypoint: Sequence[str] | None = None,
        settings: Mapping[str, str] | None = None,
        mounts: Mapping[str | Path, str] | None = None,
        tmp: str | None = None,
        publish: bool = True,
        **options: Any,
    ) -> None:
        """`mounts`: volume or file to `path` or `path:ro`. `tmp`: size of a /tmp in memory, for a root that is read-only.

        `options`: what docker-py's `containers.create` takes besides.
        """
        super().__init__(
            image.name,
            command=list(command) or None,  # type: ignore[arg-type]  # its `with_command` takes lists
            name=f"memory-test-{uuid.uuid4().hex[:12]}",
            env={**(settings or {}), **image.emulated_cpu},
            network=network,
            network_aliases=list(aliases) or None,
            platform=image.platform,
            entrypoint=None if entrypoint is None else list(entrypoint),
            labels=labels(),
            healthcheck={
                "test": ["NONE"]
            },  # of the image: tests/images has its tests; emulated it costs seconds of CPU
            **options,
        )
        counted = {COVERAGE_FOLDER: "/coverage"} if COVERAGE_FOLDER else {}
        for source, target in {**counted, **(mounts or {})}.items():
            path, _, mode = target.partition(":")
            self.with_volume_mapping(str(source), path, mode or "rw")
        if tmp is not None:
            self.with_tmpfs_mount("/tmp", f"size={tmp},mode=1777")
        if publish:
            self.ports[str(self.port)] = ("127.0.0.1",)  # type: ignore[assignment]  # docker-py's form of "any free one"
        self.node = image
        self.aliases = list(aliases)

    @property
    def name(self) -> str:
        assert self._name is not None
        return self._name

    @property
    def running(self) -> bool:
        self.reload()
        return self.status == "running"

    @property
    def url(self) -> str:
        """Its address for the test, until it is started again."""
        return f"http://127.0.0.1:{self._get_exposed_port(self.port)}"

    @property
    def inside(self) -> str:
        """Its address for other containers of the network."""
        return f"http://{self.aliases[0]}:{self.port}"

    @property
    def log(self) -> str:
        """Everything that it has printed."""
        return b"".join(self.get_logs()).decode(errors="replace")

    def wait_until_ready(self, path: str | None = None) -> float:
        """Wait until `path` (its readiness) answers 200; how long that took, in seconds."""
        patience = START_SECONDS if self.node.native else EMULATED_START_SECONDS
        began = time.monotonic()
        while time.monotonic() - began < patience:
            assert self.running, f"{self.name} ended with {self.exit_code}:\n{self.log}"
            try:
                if httpx.get(f"{self.url}{path or self.ready_path}", timeout=30).status_code == httpx.codes.OK:
                    return time.monotonic() - began
            except (httpx.TransportError, ConnectionError):
                pass
            time.sleep(0.05)
        raise AssertionError(f"{self.name} is not ready after {time.monotonic() - began:.0f} s:\n{self.log}")

    @property
    def exit_code(self) -> int:
        self.reload()
        return int(self.get_wrapped_container().attrs["State"]["ExitCode"])

    def run_inside(self, *command: str) -> str:
        """What a command prints; a failure is an AssertionError."""
        return docker_command("exec", self.name, *command)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        kill(self)

    def stop_gracefully(self, seconds: int = 60) -> None:
        """As `docker stop` does. (`stop` is testcontainers' name for the removal.)"""
        self.get_wrapped_container().stop(timeout=seconds)

    def stop(self, force: bool = True, delete_volume: bool = True) -> None:
        """Remove it. Where lines are counted it may end by itself first: what is killed leaves no figures."""
        if COVERAGE_FOLDER and self._container is not None and self.running:
            self.stop_gracefully()
        super().stop(force, delete_volume)

    def start_again(self, path: str | None = None) -> float:
        """After a kill or a stop, with its volumes; seconds until it is ready."""
        self.get_wrapped_container().start()
        return self.wait_until_ready(path)

    def pause(self) -> None:
        """Freeze all its processes: connections stay open and nothing answers."""
        self.get_wrapped_container().pause()

    def unpause(self) -> None:
        self.get_wrapped_container().unpause()

    def disconnect(self) -> None:
        """Cut it off its network: nobody reaches it, the test neither."""
        assert self._network is not None
        docker_command("network", "disconnect", self._network.name, self.name)

    def reconnect(self) -> None:
        """Back into the network, under its names; its address for the test is another one."""
        assert self._network is not None
        names = [part for alias in self.aliases for part in ("--alias", alias)]
        docker_command("network", "connect", *names, self._network.name, self.name)


def kill(*containers: RunningContainer) -> None:
    """kill -9 of several at the same moment, and wait until they are gone."""
    names = [container.name for container in containers]
    docker_command("kill", *names)
    docker_command("wait", *names)


def start_again(*containers: RunningContainer) -> None:
    """Several at the same moment, after a kill or a stop; returns when all are ready."""
    docker_command("start", *(container.name for container in containers))
    for container in containers:
        container.wait_until_ready()
