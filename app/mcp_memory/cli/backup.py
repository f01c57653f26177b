"""`memory backup` and `memory restore`: of a Qdrant server by its snapshots, of an embedded store by a copy of its files."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_memory.cli.collection import built
from mcp_memory.cli.options import AsJson
from mcp_memory.cli.output import count, print_json
from mcp_memory.sizes import size
from mcp_memory.terminal import printable

if TYPE_CHECKING:
    from mcp_memory.config import Settings
    from mcp_memory.storage.base import BackupReport, SupportsBackup


def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder for the backup.")], as_json: AsJson = False
) -> None:
    """Copy every memory into a folder, with checksums. A service goes on answering; writes wait until the copy is made."""
    settings = _settings()
    if settings.qdrant_urls:
        report = asyncio.run(_on_server(settings, lambda storage: storage.backup(folder)))
    else:
        report = asyncio.run(_from_folder(settings, folder.absolute()))
    if as_json:
        print_json({"folder": str(report.folder), "memories": report.memories, "bytes": report.bytes})
        return
    print(f"{count(report.memories)} backed up to {printable(str(report.folder))} ({size(report.bytes)}).")


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `memory backup` wrote.")], as_json: AsJson = False
) -> None:
    """Put a backup in the place of what is stored. What is there is kept: under an alias, or in a folder beside it."""
    settings = _settings()
    kept = None
    if settings.qdrant_urls:
        report = asyncio.run(_on_server(settings, lambda storage: storage.restore(folder)))
    else:
        report, kept = asyncio.run(_into_folder(settings, folder.absolute()))
    if as_json:
        print_json({"folder": str(report.folder), "memories": report.memories, "kept": str(kept) if kept else None})
        return
    print(f"{count(report.memories)} restored from {printable(str(report.folder))}.")
    if kept is not None:
        print(f"What was there is kept in {printable(str(kept))}; delete that folder when you don't need it.")


def _settings() -> Settings:
    from mcp_memory.config import Backend, load_settings  # noqa: PLC0415 - for these commands only
    from mcp_memory.domain.errors import ConfigurationError  # noqa: PLC0415

    settings = load_settings()
    if settings.backend is not Backend.QDRANT:
        raise ConfigurationError(
            f"Backups are of Qdrant, not of {settings.backend.value}. For this backend: memory export > memories.jsonl"
        )
    return settings


async def _on_server(settings: Settings, work: Callable[[SupportsBackup], Awaitable[BackupReport]]) -> BackupReport:
    from mcp_memory.domain.errors import ConfigurationError, StorageFormatError  # noqa: PLC0415
    from mcp_memory.storage.base import SupportsBackup  # noqa: PLC0415

    async with built(settings) as storage:
        if not isinstance(storage, SupportsBackup):
            raise ConfigurationError("This backend has no backups: memory export > memories.jsonl")
        try:
            await storage.initialize()
        except StorageFormatError as error:  # a collection that is gone is what a restore is for
            print(error.message.split("\n", 1)[0], file=sys.stderr)
        return await work(storage)


async def _from_folder(settings: Settings, folder: Path) -> BackupReport:
    """Through the engine that serves the store, or one for this moment: nobody's service is closed for it."""
    from mcp_memory.container import embedded_options  # noqa: PLC0415
    from mcp_memory.domain.model import ModelIdentity  # noqa: PLC0415
    from mcp_memory.owner.client import check_maintenance  # noqa: PLC0415
    from mcp_memory.owner.identity import identify  # noqa: PLC0415
    from mcp_memory.storage.base import opened  # noqa: PLC0415
    from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage  # noqa: PLC0415
    from mcp_memory.storage.qdrant_embedded.backup import back_up, check_free, check_room, check_store  # noqa: PLC0415

    path, store = settings.qdrant_path.absolute(), identify(settings)
    store.check_folder()
    model = check_store(path).model
    check_free(folder)  # before anybody is kept waiting
    check_room(path, folder)
    check_maintenance(store.paths)
    options = embedded_options(settings, ModelIdentity(model.name, model.dimensions, model.fingerprint))
    storage = QdrantEmbeddedStorage(options)
    async with opened(storage), storage.paused() as memories:
        return await asyncio.to_thread(back_up, path, folder, memories=memories)


async def _into_folder(settings: Settings, folder: Path) -> tuple[BackupReport, Path | None]:
    from mcp_memory.cli.migration_places import Place  # noqa: PLC0415
    from mcp_memory.embedding.select import build_embedder  # noqa: PLC0415
    from mcp_memory.embedding_settings import embedding_options  # noqa: PLC0415
    from mcp_memory.owner.exclusive import exclusive_use  # noqa: PLC0415
    from mcp_memory.owner.identity import identify  # noqa: PLC0415
    from mcp_memory.storage.qdrant_embedded.backup import check, restore  # noqa: PLC0415

    embedder = await asyncio.to_thread(build_embedder, embedding_options(settings))
    try:
        await Place(settings).adopt_stored(embedder)
        contents = await asyncio.to_thread(check, folder, embedder.identity)  # before anybody is kept waiting
    finally:
        await embedder.close()
    async with exclusive_use(identify(settings), reason="a backup is restored"):
        path = settings.qdrant_path.absolute()
        return await asyncio.to_thread(restore, folder, path, contents, collection=settings.collection)
