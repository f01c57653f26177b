"""Backups of an embedded store: written, destroyed, restored, compared; damaged ones and those of another model refused."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from memory_server import environment, free_port, memory_server

from mcp_memory.domain.errors import ModelChangedError, StorageError, StorageFormatError
from mcp_memory.domain.memory import SUPERSEDED_BY, EmbeddedMemory, MemoryChanges
from mcp_memory.domain.query import MemoryFilter, SearchMode, SearchQuery
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.backup import back_up, check, restore
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_server import snapshots
from storage_samples import MODEL, collection, memory, vector

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def store(path: Path) -> AsyncIterator[QdrantEmbeddedStorage]:
    """Open for a moment; afterwards no engine holds the folder."""
    storage = QdrantEmbeddedStorage(EmbeddedOptions(path, MODEL))
    await storage.initialize()
    try:
        yield storage
    finally:
        await storage.close()


async def everything(storage: QdrantEmbeddedStorage) -> dict[str, EmbeddedMemory]:
    return {item.memory.id: item async for batch in storage.iterate() for item in batch}


@pytest.fixture
async def path(tmp_path: Path, anyio_backend: str) -> Path:
    """A store of 300 memories at rest, one of them deleted and one superseded."""
    async with store(tmp_path / "store") as storage:
        await storage.upsert(collection(300))
        await storage.delete([collection(300)[7].memory.content_hash])
        old, new = (collection(300)[number].memory.content_hash for number in (8, 9))
        await storage.update(old, MemoryChanges(metadata={SUPERSEDED_BY: new}))
    return tmp_path / "store"


async def test_what_was_backed_up_destroyed_and_restored_is_the_same_bit_by_bit(path: Path, tmp_path: Path) -> None:
    async with store(path) as storage:
        before = await everything(storage)
        query = SearchQuery(SearchMode.HYBRID, "kernel backup", vector(5), limit=20)
        found = await storage.search(query)
    report = back_up(path, tmp_path / "backup", memories=299)
    assert (report.memories, report.bytes > 0) == (299, True)
    shutil.rmtree(path)

    contents = check(tmp_path / "backup", MODEL)
    restored, kept = restore(tmp_path / "backup", path, contents, collection="memories")
    assert (restored.memories, kept) == (299, None)
    async with store(path) as storage:
        after = await everything(storage)
        assert {id_: item.memory for id_, item in after.items()} == {id_: item.memory for id_, item in before.items()}
        assert all((after[id_].vector == item.vector).all() for id_, item in before.items())
        assert [hit.memory.id for hit in await storage.search(query)] == [hit.memory.id for hit in found]
        assert await storage.count(MemoryFilter(current_only=True)) == 298
        await storage.upsert([memory("stored after the restore")])
        assert len(await everything(storage)) == 300


async def test_a_backup_is_private_and_a_store_by_itself(path: Path, tmp_path: Path) -> None:
    back_up(path, tmp_path / "backup", memories=299)
    for found in (tmp_path / "backup").rglob("*"):
        assert stat.S_IMODE(found.stat().st_mode) == (0o700 if found.is_dir() else 0o600), found
    async with store(tmp_path / "backup" / "store") as storage:
        assert len(await everything(storage)) == 299


@pytest.mark.parametrize("damaged", [False, True])
async def test_what_a_restore_replaces_is_kept(path: Path, tmp_path: Path, damaged: bool) -> None:
    back_up(path, tmp_path / "backup", memories=299)
    async with store(path) as storage:
        await storage.upsert([memory("stored after the backup")])
    manifest = (path / "manifest.json").read_bytes()
    if damaged:
        (path / "manifest.json").write_bytes(b"{")
    _, kept = restore(tmp_path / "backup", path, check(tmp_path / "backup", MODEL), collection="memories")
    assert kept is not None
    async with store(path) as storage:
        assert len(await everything(storage)) == 299
    if damaged:
        (kept / "manifest.json").write_bytes(manifest)
    async with store(kept) as storage:
        assert len(await everything(storage)) == 300


@pytest.mark.parametrize("victim", ["largest file", "backup.json", "missing file"])
async def test_a_damaged_backup_is_refused_and_nothing_is_changed(path: Path, tmp_path: Path, victim: str) -> None:
    backup = tmp_path / "backup"
    back_up(path, backup, memories=299)
    files = sorted(
        (found for found in (backup / "store").rglob("*") if found.is_file()), key=lambda one: one.stat().st_size
    )
    if victim == "backup.json":
        (backup / "backup.json").write_text('{"kind": "embedded"}')
    elif victim == "missing file":
        files[-1].unlink()
    else:
        content = bytearray(files[-1].read_bytes())
        content[len(content) // 2] ^= 1
        files[-1].write_bytes(content)
    with pytest.raises(StorageFormatError, match="backup"):
        check(backup, MODEL)
    async with store(path) as storage:
        assert len(await everything(storage)) == 299


async def test_damage_between_check_and_restore_leaves_the_old_store(path: Path, tmp_path: Path) -> None:
    back_up(path, tmp_path / "backup", memories=299)
    contents = check(tmp_path / "backup", MODEL)
    next(found for found in (tmp_path / "backup").rglob("segment.json")).write_text("{}")
    with pytest.raises(StorageFormatError, match=r"damaged: store/.*segment\.json"):
        restore(tmp_path / "backup", path, contents, collection="memories")
    async with store(path) as storage:
        assert len(await everything(storage)) == 299
    assert len(list((path / "generations").iterdir())) == 1


async def test_a_backup_of_another_model_is_refused(path: Path, tmp_path: Path) -> None:
    back_up(path, tmp_path / "backup", memories=299)
    with pytest.raises(ModelChangedError, match="sample-model → other"):
        check(tmp_path / "backup", replace(MODEL, name="other", fingerprint="0" * 16))


async def test_a_backup_of_the_other_kind_is_named(path: Path, tmp_path: Path) -> None:
    back_up(path, tmp_path / "embedded", memories=299)
    with pytest.raises(StorageFormatError, match="It is one of an embedded store: unset MCP_QDRANT_URL"):
        snapshots.checked(tmp_path / "embedded")
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / snapshots.SNAPSHOT).touch()
    with pytest.raises(StorageFormatError, match="It is one of a Qdrant server: set MCP_QDRANT_URL"):
        check(tmp_path / "server", MODEL)


async def test_folders_of_something_else_are_neither_overwritten_nor_restored_into(path: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(StorageError, match="is taken"):
        back_up(path, tmp_path / "mine", memories=299)
    with pytest.raises(StorageFormatError, match="no store"):
        back_up(tmp_path / "nothing", tmp_path / "backup", memories=0)
    back_up(path, tmp_path / "backup", memories=299)
    with pytest.raises(StorageFormatError, match=r"letter\.txt"):
        restore(tmp_path / "backup", tmp_path / "mine", check(tmp_path / "backup", MODEL), collection="memories")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs files with holes and st_blocks, as Linux has them")
async def test_holes_in_the_stores_files_stay_holes(path: Path, tmp_path: Path) -> None:
    back_up(path, tmp_path / "backup", memories=299)

    def used(folder: Path) -> int:
        return sum(found.stat().st_blocks * 512 for found in folder.rglob("*") if found.is_file())

    lengths = sum(found.stat().st_size for found in (tmp_path / "backup").rglob("*"))
    assert used(tmp_path / "backup") < lengths / 4


def run(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mcp_memory.cli", *arguments],
        env=environment(base, free_port()),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
def test_a_running_service_is_backed_up_and_restored_by_two_commands(tmp_path: Path) -> None:
    base = tmp_path / "base"
    with memory_server(base) as server, server.client() as client:
        for text in ("the first memory", "the second memory"):
            client.post("/api/memories", json={"content": text}).raise_for_status()
        made = run(base, "backup", str(tmp_path / "backup"))
        assert made.stdout == f"2 memories backed up to {tmp_path / 'backup'} ({made.stdout.rsplit('(', 1)[1]}", (
            made.stderr
        )
        before = client.get("/api/memories").json()
        client.post("/api/memories", json={"content": "stored after the backup"}).raise_for_status()
        back = run(base, "restore", str(tmp_path / "backup"))
        assert back.stdout.startswith(f"2 memories restored from {tmp_path / 'backup'}.\nWhat was there is kept in "), (
            back.stderr
        )
        assert client.get("/api/memories").json() == before
        found = client.post("/api/search", json={"query": "second"}).json()["results"]
        assert found[0]["memory"]["content"] == "the second memory"
    shutil.rmtree(base / "qdrant")
    assert run(base, "restore", str(tmp_path / "backup")).returncode == os.EX_OK
    listed = run(base, "list", "--json")
    assert "the first memory" in listed.stdout
