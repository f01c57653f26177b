"""A background owner whose storage is the reference one, in memory: for tests of what stands before the storage.

Run as a program, with the settings in the environment.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from embedders import HashEmbedder
from mcp_memory.cli.background import run_background_owner
from mcp_memory.config import Settings, load_settings
from mcp_memory.container import Container
from mcp_memory.http.app import create_app
from mcp_memory.owner.identity import identify
from reference_storage import ReferenceStorage


@asynccontextmanager
async def reference_container(settings: Settings) -> AsyncIterator[Container]:
    container = Container.assemble(settings, HashEmbedder(), ReferenceStorage)
    await container.open()
    yield container
    await container.close()


if __name__ == "__main__":
    settings = load_settings()
    run_background_owner(
        identify(settings),
        lambda state: create_app(settings, owner=state, container=reference_container),
        graceful_seconds=5,
    )
