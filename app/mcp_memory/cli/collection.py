"""`memory init` and `memory drop`: the collection as a whole."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_memory.cli.options import AsJson
from mcp_memory.cli.output import ask, count, print_json
from mcp_memory.terminal import printable

if TYPE_CHECKING:
    from mcp_memory.config import Settings
    from mcp_memory.storage.base import BaseStorage, StorageHealth
    from mcp_memory.storage.qdrant_server.options import ServerOptions


def init(as_json: AsJson = False) -> None:
    """Create the collection, or check the one that is there. A service does so by itself when it starts."""
    from mcp_memory.config import load_settings  # noqa: PLC0415 - for this command only
    from mcp_memory.domain.errors import StorageUnavailableError  # noqa: PLC0415

    settings = load_settings()
    health, count = asyncio.run(_open(settings))
    if not health.healthy:
        raise StorageUnavailableError(health.message or "The storage doesn't answer.")
    where = settings.qdrant_url or settings.qdrant_path
    if as_json:
        print_json(
            {"collection": settings.collection, "memories": count, "vector_dimensions": health.vector_dimensions}
        )
        return
    print(
        f"Collection '{settings.collection}' is ready at {printable(str(where))}: {count:,} memories, "
        f"{health.vector_dimensions} dimensions."
    )


def drop(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete the collection on a Qdrant server with all its memories. Backups of model changes stay."""
    from mcp_memory.config import load_settings  # noqa: PLC0415 - for this command only
    from mcp_memory.domain.errors import ConfigurationError  # noqa: PLC0415

    settings = load_settings()
    if not settings.qdrant_urls:
        raise ConfigurationError(
            f"The embedded store is the folder {settings.qdrant_path}: stop the service, then delete the folder."
        )
    if not yes:
        where = printable(settings.qdrant_url or "")
        lost = count(asyncio.run(_count(settings)))
        print(f"This deletes every memory of '{settings.collection}' on {where}: {lost}.", file=sys.stderr)
        if ask("Type the collection's name to go on:") != settings.collection:
            print("Nothing was deleted.", file=sys.stderr)
            raise typer.Exit(1)
    names = asyncio.run(_drop(settings))
    if as_json:
        print_json({"deleted": list(names)})
        return
    print(f"Deleted: {', '.join(names)}." if names else f"There was no collection '{settings.collection}'.")


@asynccontextmanager
async def built(settings: Settings) -> AsyncIterator[BaseStorage]:
    """The storage of the settings, not opened; closed at the end."""
    from mcp_memory.cli.migration_places import Place  # noqa: PLC0415
    from mcp_memory.container import build_storage  # noqa: PLC0415
    from mcp_memory.embedding.select import build_embedder  # noqa: PLC0415
    from mcp_memory.embedding_settings import embedding_options  # noqa: PLC0415

    embedder = await asyncio.to_thread(build_embedder, embedding_options(settings))
    await Place(settings).adopt_stored(embedder)
    storage = build_storage(settings, embedder.identity)
    try:
        yield storage
    finally:
        await storage.close()
        await embedder.close()


async def _open(settings: Settings) -> tuple[StorageHealth, int]:
    """Its state, and how many memories are in it."""
    from mcp_memory.domain.query import EVERYTHING  # noqa: PLC0415

    async with built(settings) as storage:
        await storage.initialize()
        health = await storage.health()
        return health, await storage.count(EVERYTHING) if health.healthy else 0


async def _count(settings: Settings) -> int:
    from mcp_memory.storage.qdrant_server.dropping import stored_count  # noqa: PLC0415

    return await stored_count(_of_any_model(settings))


async def _drop(settings: Settings) -> list[str]:
    from mcp_memory.storage.qdrant_server.dropping import drop_collection  # noqa: PLC0415

    return await drop_collection(_of_any_model(settings))


def _of_any_model(settings: Settings) -> ServerOptions:
    """What is deleted may be of whichever model."""
    from mcp_memory.container import server_options  # noqa: PLC0415
    from mcp_memory.domain.model import ModelIdentity  # noqa: PLC0415

    return server_options(settings, ModelIdentity(settings.embedding_model, 0, ""))
