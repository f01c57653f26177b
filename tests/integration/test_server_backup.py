"""Backups of a Qdrant server: written, destroyed, restored, compared; damaged ones and those of another model refused."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient

from mcp_memory.domain.errors import ModelChangedError, StorageError, StorageFormatError
from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.storage.base import SupportsBackup
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.lifecycle import physical_name
from mcp_memory.storage.qdrant_server.options import ServerOptions
from qdrant_backends import alias, server_url
from storage_samples import DIMENSIONS, MODEL, collection, memory

pytestmark = pytest.mark.anyio


@pytest.fixture
async def storage(tmp_path: Path, anyio_backend: str) -> AsyncIterator[QdrantServerStorage]:
    """Three hundred memories behind an alias of this test's own."""
    storage = QdrantServerStorage(ServerOptions((server_url(),), MODEL, alias=alias(tmp_path)))
    await storage.initialize()
    await storage.upsert(collection(300))
    yield storage
    await storage.close()
    client = AsyncQdrantClient(url=server_url(), check_compatibility=False, timeout=20)
    for found in (await client.get_collections()).collections:
        if found.name.startswith(storage.options.alias):
            await client.delete_collection(found.name)
    await client.close()


async def everything(storage: QdrantServerStorage) -> dict[str, EmbeddedMemory]:
    return {item.memory.id: item async for batch in storage.iterate() for item in batch}


async def destroy(storage: QdrantServerStorage) -> None:
    client = AsyncQdrantClient(url=server_url(), check_compatibility=False, timeout=20)
    await client.delete_collection(physical_name(storage.options.alias, MODEL))
    await client.close()


async def test_what_was_backed_up_destroyed_and_restored_is_the_same_bit_by_bit(
    storage: QdrantServerStorage, tmp_path: Path
) -> None:
    assert isinstance(storage, SupportsBackup)
    before = await everything(storage)
    report = await storage.backup(tmp_path / "backup")
    assert (report.memories, report.bytes > 0) == (300, True)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "backup").iterdir()} == {0o600}
    await destroy(storage)
    with pytest.raises(StorageFormatError, match="memory restore"):
        await storage.count(EVERYTHING)

    assert (await storage.restore(tmp_path / "backup")).memories == 300
    after = await everything(storage)
    assert {id_: item.memory for id_, item in after.items()} == {id_: item.memory for id_, item in before.items()}
    assert all((after[id_].vector == item.vector).all() for id_, item in before.items())
    assert await storage.upsert([memory("stored after the restore")])

    again = QdrantServerStorage(storage.options)
    await again.initialize()
    assert await again.count(EVERYTHING) == 301
    await again.close()


async def test_a_restore_over_living_memories_keeps_them_under_a_backup_alias(
    storage: QdrantServerStorage, tmp_path: Path
) -> None:
    await storage.backup(tmp_path / "backup")
    await storage.upsert([memory("stored after the backup")])
    await storage.restore(tmp_path / "backup")
    assert await storage.count(EVERYTHING) == 300
    client = AsyncQdrantClient(url=server_url(), check_compatibility=False, timeout=20)
    kept = [one for one in (await client.get_aliases()).aliases if f"{storage.options.alias}_backup_" in one.alias_name]
    assert [(await client.count(one.alias_name)).count for one in kept] == [301]
    await client.close()


async def test_a_damaged_backup_is_refused_and_nothing_changes(storage: QdrantServerStorage, tmp_path: Path) -> None:
    await storage.backup(tmp_path / "backup")
    snapshot = tmp_path / "backup" / "collection.snapshot"
    damaged = bytearray(snapshot.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    snapshot.write_bytes(damaged)
    with pytest.raises(StorageFormatError, match="damaged"):
        await storage.restore(tmp_path / "backup")
    with pytest.raises(StorageFormatError, match="isn't a backup"):
        await storage.restore(tmp_path / "nothing")
    with pytest.raises(StorageError, match="isn't empty"):
        await storage.backup(tmp_path / "backup")
    assert await storage.count(EVERYTHING) == 300


async def test_a_backup_of_another_model_is_refused(storage: QdrantServerStorage, tmp_path: Path) -> None:
    await storage.backup(tmp_path / "backup")
    other = ModelIdentity("another-model", DIMENSIONS, "0badcafe00c0ffee")
    elsewhere = QdrantServerStorage(replace(storage.options, model=other, alias=f"{storage.options.alias}_other"))
    await elsewhere.initialize()
    with pytest.raises(ModelChangedError):
        await elsewhere.restore(tmp_path / "backup")
    await elsewhere.close()
