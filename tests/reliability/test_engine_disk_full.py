"""A disk that fills up: writes are refused by name, reads go on, and everything acknowledged is there when space returns."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_memory.domain.errors import StorageFullError
from mcp_memory.domain.query import EVERYTHING, SearchMode, SearchQuery
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.backup import back_up
from mcp_memory.storage.qdrant_embedded.options import MEBIBYTE, EmbeddedOptions
from storage_samples import MODEL, collection, memory

pytestmark = pytest.mark.anyio


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 240 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=240m", "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
        == 0
    )
    if not mounted:
        pytest.skip("needs the right to mount a tmpfs: run as root, in a container with CAP_SYS_ADMIN")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def build(path: Path, reserve: int) -> QdrantEmbeddedStorage:
    return QdrantEmbeddedStorage(EmbeddedOptions(path / "store", MODEL, disk_reserve_bytes=reserve))


def fill(disk: Path, leave: int) -> Path:
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - leave)
    return ballast


async def test_writes_stop_before_the_disk_is_full_and_reads_go_on(small_disk: Path) -> None:
    storage = build(small_disk, 64 * MEBIBYTE)
    await storage.initialize()
    items = collection(300)
    await storage.upsert(items)
    ballast = fill(small_disk, 60 * MEBIBYTE)
    with pytest.raises(StorageFullError, match="No space left on device"):
        await storage.upsert([memory("one too many")])
    assert await storage.count(EVERYTHING) == 300
    assert await storage.search(SearchQuery(SearchMode.HYBRID, "memory", items[0].vector))
    assert (await storage.health()).healthy
    ballast.unlink()
    await storage.upsert([memory("one too many")])
    assert await storage.count(EVERYTHING) == 301
    await storage.close()


async def test_an_engine_killed_by_the_full_disk_is_survived_and_named(small_disk: Path) -> None:
    storage = build(small_disk, 0)
    await storage.initialize()
    acknowledged = []
    ballast = fill(small_disk, 3 * MEBIBYTE)

    async def write_until_it_is_full() -> None:
        for number in range(10_000):
            item = memory(f"{number} " + "long text " * 5_000)
            await storage.upsert([item])
            acknowledged.append(item.memory.content_hash)

    with pytest.raises(StorageFullError, match="No space left on device"):
        await write_until_it_is_full()
    ballast.unlink()
    await storage.upsert([memory("room again")])
    assert set(await storage.get(acknowledged)) == set(acknowledged)
    await storage.close()


async def test_a_store_that_was_closed_on_a_full_disk_is_read_from_a_copy_and_written_when_space_returns(
    small_disk: Path,
) -> None:
    storage = build(small_disk, 0)  # nothing is set aside
    await storage.initialize()
    items = collection(100)
    await storage.upsert(items)
    await storage.close()
    ballast = fill(small_disk, 0)
    again = build(small_disk, 0)
    await again.initialize()
    assert await again.count(EVERYTHING) == 100
    found = await again.search(SearchQuery(SearchMode.HYBRID, "memory", items[0].vector))
    assert items[0].memory.content_hash in {hit.memory.content_hash for hit in found}
    assert len([item async for batch in again.iterate() for item in batch]) == 100
    with pytest.raises(StorageFullError, match="No space left on device"):
        await again.upsert([memory("one too many")])
    with pytest.raises(StorageFullError, match="No space left on device"):
        await again.delete([items[0].memory.content_hash])
    assert (await again.stats()).details["read_only"] is True
    ballast.unlink()
    await again.upsert([memory("room again")])
    assert await again.count(EVERYTHING) == 101
    assert (await again.stats()).details["read_only"] is False
    await again.close()


async def test_what_was_set_aside_opens_a_store_on_a_full_disk_and_lets_memories_be_deleted(small_disk: Path) -> None:
    storage = build(small_disk, 32 * MEBIBYTE)
    await storage.initialize()
    items = collection(100)
    await storage.upsert(items)
    assert (small_disk / "store" / "engine.reserve").exists()
    fill(small_disk, 0)
    hashes = [item.memory.content_hash for item in items]
    with pytest.raises(StorageFullError):
        await storage.upsert([memory("one too many")])
    assert await storage.delete(hashes[:10]) == hashes[:10]
    await storage.close()

    again = build(small_disk, 32 * MEBIBYTE)
    await again.initialize()
    assert await again.count(EVERYTHING) == 90
    assert await again.delete(hashes[10:20]) == hashes[10:20]
    assert await again.search(SearchQuery(SearchMode.HYBRID, "memory", items[50].vector))
    await again.close()


async def test_a_backup_to_another_disk_is_made_while_a_store_on_a_full_disk_serves(
    small_disk: Path, tmp_path: Path
) -> None:
    storage = build(small_disk, 0)
    await storage.initialize()
    await storage.upsert(collection(100))
    fill(small_disk, 0)
    async with storage.paused() as memories:
        report = back_up(small_disk / "store", tmp_path / "backup", memories=memories)
        assert await storage.count(EVERYTHING) == 100
    assert report.memories == 100
    restored = QdrantEmbeddedStorage(EmbeddedOptions(tmp_path / "backup" / "store", MODEL))
    await restored.initialize()
    assert await restored.count(EVERYTHING) == 100
    await restored.close()
    await storage.close()
