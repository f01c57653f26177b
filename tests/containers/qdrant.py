"""A Qdrant node in a container, with the file and the folders that the init step made, as compose and the chart start it."""

from __future__ import annotations

from typing import ClassVar

from docker.types import Ulimit
from qdrant_client import AsyncQdrantClient
from testcontainers.core.network import Network

from containers.running import LOCKED_DOWN, RunningContainer
from engine import Image

PEER_PORT = 6335


class Qdrant(RunningContainer):
    """One node. `bootstrap`: another node of its cluster, "" for the first, None outside a cluster."""

    port: ClassVar[int] = 6333

    def __init__(
        self, image: Image, network: Network, alias: str, *, key: str, config: str, storage: str, bootstrap: str | None
    ) -> None:
        arguments: list[str] = []
        if bootstrap is not None:
            arguments += ["--uri", f"http://{alias}:{PEER_PORT}"]
        if bootstrap:
            arguments += ["--bootstrap", bootstrap]
        super().__init__(
            image,
            network,
            [alias],
            entrypoint=["./qdrant", "--config-path", "/config/qdrant.yaml"],
            command=arguments,
            settings={
                "QDRANT_INIT_FILE_PATH": "/qdrant/storage/private/.initialized",
                "QDRANT__TELEMETRY_DISABLED": "true",
            },
            mounts={storage: "/qdrant/storage", config: "/config:ro"},
            tmp="64m",
            ulimits=[Ulimit(name="nofile", soft=16384, hard=16384)],
            **LOCKED_DOWN,
        )
        self.key = key
        self.storage = storage
        """Name of its volume."""

    @property
    def peer(self) -> str:
        """Its address for nodes that join its cluster."""
        return f"http://{self.aliases[0]}:{PEER_PORT}"

    def client(self) -> AsyncQdrantClient:
        """Of the node itself, past the service; for one start of the node."""
        return AsyncQdrantClient(url=self.url, api_key=self.key, timeout=60, check_compatibility=False)
