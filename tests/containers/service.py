"""The service in a container of its image, and what may stand in front of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import httpx
from testcontainers.core.network import Network

from containers.running import LOCKED_DOWN, RunningContainer
from engine import Image

PROXY_CONFIG = Path(__file__).resolve().parents[2] / "compose" / "proxy" / "cluster.cfg"


class Http(RunningContainer):
    """What answers as the service does, with the clients' key."""

    port: ClassVar[int] = 8000
    key: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def client(self, **options: Any) -> httpx.Client:
        """For one start of the container."""
        return httpx.Client(base_url=self.url, headers=self.headers, **{"timeout": 120, **options})

    def async_client(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers=self.headers, **{"timeout": 120, **options})


class Service(Http):
    """`memory server` (or another command), on a volume at /data."""

    def __init__(
        self,
        image: Image,
        network: Network,
        aliases: list[str],
        *,
        key: str,
        data: str,
        settings: Mapping[str, str],
        command: tuple[str, ...] = ("server",),
        mounts: Mapping[str | Path, str] | None = None,
    ) -> None:
        super().__init__(
            image,
            network,
            aliases,
            command=command,
            settings=settings,
            mounts={data: "/data", **(mounts or {})},
            publish=command == ("server",),
            tmp="64m",
            **LOCKED_DOWN,
        )
        self.key = key
        self.data = data
        """Name of its volume."""


class Proxy(Http):
    """HAProxy with compose's own configuration: passes on to everything that is called `memory`."""

    def __init__(self, image: Image, network: Network, *, key: str) -> None:
        super().__init__(
            image,
            network,
            ["proxy"],
            command=["/config/cluster.cfg"],
            mounts={PROXY_CONFIG: "/config/cluster.cfg:ro"},
            tmp="16m",
            **LOCKED_DOWN,
        )
        self.key = key
