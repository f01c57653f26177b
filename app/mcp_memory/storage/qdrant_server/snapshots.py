"""Backups of a server's collection: Qdrant's own snapshot with a manifest beside it, both checked before anything is replaced.

A backup is a folder: `manifest.json` (what, of which model, how many, checksum) and `collection.snapshot`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import httpx

from mcp_memory.domain.errors import ModelChangedError, StorageError, StorageFormatError, StorageUnavailableError
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.storage.base import BackupReport
from mcp_memory.storage.qdrant_server import schema
from mcp_memory.storage.qdrant_server.catalog import Catalog
from mcp_memory.storage.qdrant_server.connection import trust
from mcp_memory.storage.qdrant_server.lifecycle import CREATED, OpenCollection, state_name
from mcp_memory.storage.qdrant_server.reads import Reads
from mcp_memory.storage.qdrant_server.schema import Identity
from mcp_memory.system.records import NO_LINK, one_line, read_record

MANIFEST: Final = "manifest.json"
SNAPSHOT: Final = "collection.snapshot"
SECONDS: Final = 3600.0
_OF_A_FOLDER: Final = (
    "It is one of an embedded store: unset MCP_QDRANT_URL and restore it there.\n"
    "Then 'memory migrate storage' moves memories between stores."
)
_CHUNK: Final = 1024 * 1024
_MANIFEST_BYTES: Final = 1024 * 1024
_DEPTH: Final = 3
_LARGEST: Final = 16 * 1024**3
_DENSEST: Final = 1_000
"""Files of a new segment are nearly all holes: 32 MB of them take a kilobyte in the archive."""


async def back_up(reads: Reads, collection: OpenCollection, folder: Path) -> BackupReport:
    """Write a backup into `folder`, which must not be there or be empty. Writes go on meanwhile; it holds a consistent moment.

    Raises StorageError for a folder that is taken, and where the node that answers doesn't hold every shard.
    """
    if await asyncio.to_thread(_taken, folder):
        raise StorageError(f"The folder {folder} isn't empty. Name a new one for the backup.")
    await _check_whole(reads, collection)
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    connection, name = reads.connection, collection.name
    made = await connection.run(
        lambda client: client.create_snapshot(name, wait=True), f"a snapshot of '{name}'", seconds=SECONDS
    )
    if made is None:
        raise StorageUnavailableError(f"Qdrant at {connection.address} made no snapshot of '{name}'.")
    try:
        checksum = await _download(reads, f"/collections/{name}/snapshots/{made.name}", folder / SNAPSHOT)
    finally:
        await connection.run(lambda client: client.delete_snapshot(name, made.name), "deleting a snapshot")
    if made.checksum is not None and checksum != made.checksum:
        raise StorageError(f"The snapshot arrived damaged in {folder / SNAPSHOT}: its checksum differs. Try again.")
    memories = await reads.count(EVERYTHING)
    manifest = Identity.of(reads.options.model).to_metadata() | {
        "collection": name,
        "memories": memories,
        "sha256": checksum,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    await asyncio.to_thread(_write_private, folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    return BackupReport(folder=folder, memories=memories, bytes=(folder / SNAPSHOT).stat().st_size)


async def restore(reads: Reads, folder: Path) -> BackupReport:
    """Load a backup into a collection of its own, then point the alias to it. What stood there stays, under a backup alias.

    Raises StorageFormatError for a damaged backup, ModelChangedError for one of another model; nothing was changed then.
    """
    options, connection = reads.options, reads.connection
    manifest = await asyncio.to_thread(checked, folder)
    identity = Identity.from_metadata(manifest)
    if identity is None:
        raise StorageFormatError(f"{folder / MANIFEST} isn't the manifest of a backup of this service.")
    if identity.model.fingerprint != options.model.fingerprint:
        raise ModelChangedError(
            old_model=identity.model.name,
            new_model=options.model.name,
            old_dimensions=identity.model.dimensions,
            new_dimensions=options.model.dimensions,
            old_fingerprint=identity.model.fingerprint,
        )
    catalog = Catalog(connection, options)
    if options.alias in await catalog.names():
        raise StorageError(
            f"'{options.alias}' is a collection of that name, not an alias, so nothing can take its place.\n"
            "Delete it first: memory drop"
        )
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    name = f"{options.alias}_restored_{stamp}"
    await _upload(reads, name, folder / SNAPSHOT, manifest["sha256"])
    before = (await catalog.aliases()).get(options.alias)
    if before is not None:
        await catalog.point_alias(f"{options.alias}_backup_{stamp}", before)
    await catalog.point_alias(options.alias, name)
    state = Identity.of(options.model).to_metadata() | {"state": CREATED, "collection": name}
    if not await catalog.create(state_name(options.alias), vectors_config={}, metadata=state):
        await catalog.change(state_name(options.alias), metadata=state)
    return BackupReport(folder=folder, memories=await reads.count(EVERYTHING), bytes=(folder / SNAPSHOT).stat().st_size)


async def _check_whole(reads: Reads, collection: OpenCollection) -> None:
    """A snapshot holds the shards of the node that makes it."""
    found = await reads.connection.run(
        lambda client: client.collection_cluster_info(collection.name), "the collection's shards"
    )
    if len(found.local_shards) < found.shard_count:
        raise StorageError(
            f"Qdrant at {reads.connection.address} holds {len(found.local_shards)} of the {found.shard_count} shards of "
            f"'{collection.name}': a snapshot would miss the others.\nUse 'memory export', which reads all of them."
        )


@asynccontextmanager
async def _http(reads: Reads) -> AsyncIterator[httpx.AsyncClient]:
    """A client for files of any size; the driver's own reads an answer whole."""
    options = reads.options
    headers = {"api-key": options.api_key} if options.api_key else {}
    verify = trust(options.ca_file) if options.ca_file is not None else True
    try:
        async with httpx.AsyncClient(
            base_url=reads.connection.address, headers=headers, timeout=SECONDS, verify=verify
        ) as client:
            yield client
    except httpx.HTTPError as error:
        raise StorageUnavailableError(f"Qdrant at {reads.connection.address} failed at a snapshot: {error}") from error


async def _download(reads: Reads, path: str, file: Path) -> str:
    """SHA-256 of what was written."""
    digest = hashlib.sha256()
    fd = await asyncio.to_thread(os.open, file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as target:
        async with _http(reads) as client, client.stream("GET", path) as answer:
            answer.raise_for_status()
            async for chunk in answer.aiter_bytes(_CHUNK):
                digest.update(chunk)
                target.write(chunk)
        target.flush()
        await asyncio.to_thread(os.fsync, target.fileno())
    return digest.hexdigest()


async def _upload(reads: Reads, name: str, file: Path, checksum: str) -> None:
    with _opened(file) as source:
        async with _http(reads) as client:
            answer = await client.post(
                f"/collections/{name}/snapshots/upload",
                params={"wait": "true", "priority": "snapshot", "checksum": checksum},
                files={"snapshot": (SNAPSHOT, source)},
            )
    if answer.is_error:
        raise StorageError(f"Qdrant at {reads.connection.address} refused the backup: {answer.text[:300]}")


def checked(folder: Path) -> dict[str, Any]:
    """The manifest of a backup whose snapshot is whole."""
    try:
        manifest = json.loads(read_record(folder / MANIFEST, limit=_MANIFEST_BYTES))
        with _opened(folder / SNAPSHOT) as source:
            checksum = hashlib.file_digest(source, "sha256").hexdigest()
    except (OSError, ValueError, RecursionError) as error:
        hint = f"\n{_OF_A_FOLDER}" if (folder / "backup.json").exists() else ""
        raise StorageFormatError(f"{folder} isn't a backup of a Qdrant server: {error}{hint}") from error
    if (
        not isinstance(manifest, dict)
        or manifest.get("product") != schema.PRODUCT
        or checksum != manifest.get("sha256")
    ):
        raise StorageFormatError(f"The backup {folder} is damaged: {SNAPSHOT} doesn't have the checksum in {MANIFEST}.")
    with _opened(folder / SNAPSHOT) as source:
        problem = archive_problem(source, _LARGEST + _DENSEST * (folder / SNAPSHOT).stat().st_size)
    if problem is not None:
        raise StorageFormatError(
            f"The backup {folder} isn't one that Qdrant made: {problem} in {SNAPSHOT}. It was not sent to Qdrant."
        )
    return manifest


def archive_problem(file: IO[bytes], room: int = _LARGEST, depth: int = 0) -> str | None:
    """What Qdrant wouldn't write into a snapshot, by name; None where there is nothing of the kind.

    Plain files and folders below the archive, of no more than `room` bytes together once unpacked (holes take none in it);
    archives of segments inside are looked into as well.
    Whoever unpacks anything else may be made to write elsewhere.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts or "\\" in member.name or not one_line(member.name, 4_096):
                    return f"the name {member.name!r}"
                room -= member.size
                if room < 0:
                    return f"more than fits a collection, at {member.name!r},"
                if not (member.isfile() or member.isdir()):
                    return f"{member.name!r}, which is neither a file nor a folder,"
                inner = archive.extractfile(member) if name.suffix == ".tar" and member.isfile() else None
                if inner is not None:
                    problem = "archives within archives" if depth == _DEPTH else archive_problem(inner, room, depth + 1)
                    if problem is not None:
                        return problem
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        return f"no archive that can be read ({error})"
    return None


def _opened(file: Path) -> BufferedReader:
    return os.fdopen(os.open(file, os.O_RDONLY | NO_LINK), "rb")


def _taken(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())


def _write_private(file: Path, text: str) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as target:
        target.write(text)
        target.flush()
        os.fsync(target.fileno())
