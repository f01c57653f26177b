"""What a test starts: containers in one network of its own, with volumes of their own, all removed at its end."""

from __future__ import annotations

import io
import secrets
import tarfile
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import docker
from docker.errors import APIError
from testcontainers.core.exceptions import ContainerStartException
from testcontainers.core.network import Network

import release_data
from containers import architecture
from containers.architecture import Architecture
from containers.endpoint import EmbeddingEndpoint
from containers.leftovers import labels
from containers.qdrant import Qdrant
from containers.running import RunningContainer
from containers.service import Proxy, Service
from engine import Image
from qdrant_server import wait_for_peers

Started = TypeVar("Started", bound=RunningContainer)
INIT = ("/usr/bin/python3", "-I", "/app/init.py")
OWNER = 1000


@dataclass(frozen=True)
class Finished:
    """A command that ran to its end."""

    exit_code: int
    output: str
    """stdout and stderr."""


@dataclass
class World:
    """One test's network and all that is in it. Everything started here is ready when the call returns."""

    on: Architecture
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """The clients' key of every service here."""
    qdrant_key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    network: Network = field(init=False)
    containers: list[RunningContainer] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    qdrant_image: Image | None = None
    """Set with the first Qdrant."""

    def __post_init__(self) -> None:
        self._engine = docker.from_env()
        self.network = Network(docker_network_kw={"labels": labels()})
        self.network.name = f"memory-test-{uuid.uuid4().hex[:12]}"
        self.network.create()

    def __str__(self) -> str:
        """The images that were used, for the run's summary."""
        if self.qdrant_image is None:
            return f"{self.on}, embedded store"
        if self.qdrant_image.platform == self.on.platform:
            return f"{self.on}, Qdrant of the same platform"
        return f"{self.on}, native Qdrant: no image of it for {self.on.platform} is here"

    # --- what a deployment consists of

    def qdrant(self, *, storage: str | None = None, alias: str = "qdrant") -> Qdrant:
        """One Qdrant server. `storage`: a volume that was one's before."""
        (node,) = self._qdrants({alias: storage or self.volume()}, cluster=False)
        return node

    def cluster(self, nodes: int = 3) -> list[Qdrant]:
        """Up to three Qdrant nodes `qdrant-1`, ... of one cluster, each aware of all the others."""
        found = self._qdrants({f"qdrant-{number + 1}": self.volume() for number in range(nodes)}, cluster=True)
        wait_for_peers(found, api_key=self.qdrant_key)
        return found

    def service(
        self,
        *qdrant: Qdrant,
        alias: str = "memory",
        data: str | None = None,
        ready: str = "/readyz",
        mounts: Mapping[str | Path, str] | None = None,
        **settings: str,
    ) -> Service:
        """The service on these Qdrant nodes, or with its embedded store where none is given.

        Several of one alias are replicas: `proxy` finds them by it. `data`: a volume that was one's before. `ready`: what to
        wait for, "/livez" where Qdrant is not there.
        """
        service = Service(
            self.on.service,
            self.network,
            [alias],
            key=self.key,
            data=data or self.volume(),
            settings=self._settings(qdrant) | settings,
            mounts=mounts,
        )
        return self._start(service, ready)

    def proxy(self) -> Proxy:
        """In front of every service with the alias `memory`, of which at least one is ready."""
        return self._start(Proxy(architecture.proxy(self.on.platform), self.network, key=self.key))

    def embedding_endpoint(self) -> EmbeddingEndpoint:
        """The real model at this machine's own speed: `service(..., **endpoint.settings())`."""
        return self._start(EmbeddingEndpoint(architecture.native_service(), self.network))

    # --- commands

    def begin(
        self,
        *command: str,
        qdrant: tuple[Qdrant, ...] = (),
        data: str | None = None,
        mounts: Mapping[str | Path, str] | None = None,
        **settings: str,
    ) -> Service:
        """`memory COMMAND...` in a container of its own, running on when this returns: `.kill()` it, or `finish` it.

        `mounts`: volume or file to its place, `{volume: "/source:ro"}`.
        """
        container = Service(
            self.on.service,
            self.network,
            [],
            key=self.key,
            data=data or self.volume(),
            settings=self._settings(qdrant) | settings,
            command=command,
            mounts=mounts,
        )
        self.containers.append(container)
        container.start()
        return container

    def memory(self, *command: str, **how: Any) -> Finished:
        """As `begin`, to the command's end."""
        return self.finish(self.begin(*command, **how))

    def finish(self, container: RunningContainer) -> Finished:
        """Wait until it has ended by itself."""
        return Finished(container.wait(), container.log)

    # --- volumes

    def volume(self) -> str:
        """An empty one."""
        name = f"memory-test-{uuid.uuid4().hex[:12]}"
        self._engine.volumes.create(name, labels=labels())
        self.volumes.append(name)
        return name

    def volume_with(self, *files: Path) -> str:
        """One that holds copies of files and folders, of the service's own user. For a source: mount it `:ro`."""
        volume = self.volume()
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for file in files:
                archive.add(file, file.name, filter=_of_the_service)
        container = self._engine.containers.create(
            self.on.service.name, platform=self.on.service.platform, volumes=[f"{volume}:/files"], labels=labels()
        )
        try:
            container.put_archive("/files", content.getvalue())
        finally:
            container.remove(v=True)
        return volume

    def in_volume(self, volume: str, script: str) -> str:
        """What a shell script prints that runs in a volume, as the service's user: `sha256sum *`, `stat -c %a .`."""
        container = RunningContainer(
            architecture.native_service(),
            None,
            entrypoint=["/bin/sh", "-c", f"cd /v && {script}"],
            mounts={volume: "/v"},
            publish=False,
            network_mode="none",
        )
        return self._to_the_end(container)

    def keep(self, archive: Path, **volumes: str) -> None:
        """Write volumes (by their name in it) into an archive, for whoever looks into a failure. Stop what writes to them."""
        release_data.pack(architecture.native_service(), volumes, archive)

    # --- the end

    def close(self, *, show_logs: bool) -> None:
        """Remove all of it, whatever state it is in: what can't be removed doesn't keep the rest."""
        with ExitStack() as last_first:
            last_first.callback(self._engine.close)
            last_first.callback(self.network.remove)
            for name in self.volumes:
                last_first.callback(self._engine.volumes.get(name).remove)
            for container in self.containers:
                last_first.callback(container.stop)
                if show_logs:
                    print(f"--- {', '.join(container.aliases)} {container.name}\n{_log(container)}")

    def _qdrants(self, storages: dict[str, str], *, cluster: bool) -> list[Qdrant]:
        """Nodes by their names, on these volumes."""
        self.qdrant_image = architecture.qdrant(self.on.platform)
        config = self._prepare(storages, cluster=cluster)
        nodes: list[Qdrant] = []
        for alias, storage in storages.items():
            node = Qdrant(
                self.qdrant_image,
                self.network,
                alias,
                key=self.qdrant_key,
                config=config,
                storage=storage,
                bootstrap=(nodes[0].peer if nodes else "") if cluster else None,
            )
            nodes.append(self._start(node))
        return nodes

    def _prepare(self, storages: dict[str, str], *, cluster: bool) -> str:
        """The init step on the nodes' volumes, at compose's places; the volume with Qdrant's configuration."""
        keys, config = self.volume(), self.volume()
        places = {storage: f"/volumes/{alias}" for alias, storage in storages.items()}
        init = RunningContainer(
            self.on.service,
            None,
            entrypoint=INIT,
            command=[
                "--keys",
                "/volumes/keys",
                "--qdrant-config",
                "/volumes/qdrant-config",
                "--qdrant",
                *places.values(),
            ],
            settings={"QDRANT_API_KEY": self.qdrant_key, "QDRANT_CLUSTER": str(cluster).lower()},
            mounts={keys: "/volumes/keys", config: "/volumes/qdrant-config", **places},
            publish=False,
            network_mode="none",
        )
        self._to_the_end(init)
        return config

    def _settings(self, qdrant: tuple[Qdrant, ...]) -> dict[str, str]:
        settings = {"MCP_API_KEY": self.key}
        if qdrant:
            settings["MCP_QDRANT_URL"] = ",".join(node.inside for node in qdrant)
            settings["MCP_QDRANT_API_KEY"] = self.qdrant_key
        return settings

    def _start(self, container: Started, ready: str | None = None) -> Started:
        self.containers.append(container)
        container.start()
        container.wait_until_ready(ready)
        return container

    def _to_the_end(self, container: RunningContainer) -> str:
        """What it printed; its failure is an AssertionError."""
        with container:
            finished = self.finish(container)
        assert finished.exit_code == 0, finished.output
        return finished.output


def _of_the_service(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = OWNER
    return entry


def _log(container: RunningContainer) -> str:
    try:
        return container.log
    except (ContainerStartException, APIError) as error:
        return f"(no log: {error})"
