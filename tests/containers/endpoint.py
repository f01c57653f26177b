"""Embeddings at this machine's own speed, for many vectors where the service is emulated (1.6 texts a second)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from testcontainers.core.network import Network

from containers.running import LOCKED_DOWN, RunningContainer
from engine import Image

PROGRAM = Path(__file__).with_name("embedding_server.py")


class EmbeddingEndpoint(RunningContainer):
    """The default model, natively, as an OpenAI-compatible endpoint in the test's network."""

    port: ClassVar[int] = 8080

    def __init__(self, image: Image, network: Network) -> None:
        super().__init__(
            image,
            network,
            ["embeddings"],
            entrypoint=["/app/.venv/bin/python", "/embedding_server.py"],
            mounts={PROGRAM: "/embedding_server.py:ro"},
            tmp="64m",
            **LOCKED_DOWN,
        )

    def settings(self, *, dimensions: int | None = None) -> dict[str, str]:
        """A service's settings to use it. `dimensions`: the model's first so many, normalised again; a model of its own."""
        name = "all-MiniLM-L6-v2" + (f"-first-{dimensions}" if dimensions else "")
        return {"MCP_EXTERNAL_EMBEDDING_URL": f"{self.inside}/v1", "MCP_EXTERNAL_EMBEDDING_MODEL": name}
