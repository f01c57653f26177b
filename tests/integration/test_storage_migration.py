"""From any backend to any other, by the core that `memory migrate storage` runs: vectors, revisions and all, resumable."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcp_memory.domain.errors import EmbeddingError
from mcp_memory.domain.memory import SUPERSEDED_BY, EmbeddedMemory, MemoryChanges
from mcp_memory.domain.query import MemoryFilter
from mcp_memory.migration import run as run_module
from mcp_memory.migration.checkpoint import Checkpoint
from mcp_memory.migration.errors import MigrationRefusedError, MigrationStoppedError
from mcp_memory.migration.kept_vectors import KeptVectors
from mcp_memory.migration.migration import Migration
from mcp_memory.migration.origin import StorageOrigin
from mcp_memory.migration.plan import MigrationOptions
from mcp_memory.migration.report import MigrationReport
from mcp_memory.migration.target import Target
from mcp_memory.storage.base import BaseStorage, UpsertMode
from migration_world import Recorder
from storage_backends import LASTING, opened
from storage_samples import MODEL, collection, memory

pytestmark = pytest.mark.anyio
ROUTES = [
    ("embedded", "server"),
    ("server", "cluster"),
    ("server-grpc", "embedded"),
    ("sqlite_vec", "embedded"),
    ("embedded", "sqlite_vec"),
]


def build(name: str, path: Path) -> BaseStorage:
    path.mkdir(parents=True, exist_ok=True)
    return LASTING[name](path)


async def move(
    source: BaseStorage,
    target: BaseStorage,
    checkpoint: Path,
    *,
    stopping: Callable[[], bool] = lambda: False,
    progress: Recorder | None = None,
    **options: Any,
) -> MigrationReport:
    origin = StorageOrigin(source, "source", "Qdrant", MODEL)
    chosen = MigrationOptions(checkpoint=checkpoint, **{"batch_size": 20, "mode": UpsertMode.COPY, **options})
    goal = Target("target", "Qdrant", target, MODEL)
    run = Migration(origin, goal, KeptVectors(MODEL), chosen, progress or Recorder(), stopping=stopping)
    return await run.run()


async def everything(storage: BaseStorage) -> dict[str, EmbeddedMemory]:
    return {item.memory.content_hash: item async for batch in storage.iterate() for item in batch}


def same(one: dict[str, EmbeddedMemory], other: dict[str, EmbeddedMemory]) -> None:
    assert {hash_: item.memory for hash_, item in one.items()} == {hash_: item.memory for hash_, item in other.items()}
    assert all(float(item.vector @ other[hash_].vector) > 0.9999 for hash_, item in one.items())


@pytest.mark.parametrize(("source", "target"), ROUTES)
async def test_every_memory_arrives_with_its_vector_and_revision(tmp_path: Path, source: str, target: str) -> None:
    async with opened(lambda path: build(source, path), tmp_path / "from") as one:
        await one.upsert(collection(90))
        old, new = sorted(await everything(one))[:2]
        await one.update(old, MemoryChanges(metadata={SUPERSEDED_BY: new}))
        before = await everything(one)
        async with opened(lambda path: build(target, path), tmp_path / "to") as other:
            report = await move(one, build(target, tmp_path / "to"), tmp_path / "c.json")

            assert (report.migrated, report.verified, report.validation_errors) == (90, 90, 0)
            assert report.succeeded
            same(before, await everything(other))
            assert await other.count(MemoryFilter(current_only=True)) == 89
            assert [
                memory.content_hash for memory in (await other.page(MemoryFilter(superseded_by=new), limit=5)).memories
            ] == [old]
        assert (await everything(one)).keys() == before.keys()


async def test_a_stopped_move_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    async with opened(lambda path: build("embedded", path), tmp_path / "from") as one:
        await one.upsert(collection(240))
        asked = iter([False, False, True])
        with pytest.raises(MigrationStoppedError, match="of 240"):
            await move(one, build("sqlite_vec", tmp_path / "to"), tmp_path / "c.json", stopping=lambda: next(asked))
        done = Checkpoint.load(tmp_path / "c.json").migrated_count
        assert 20 * 3 <= done < 240
        with pytest.raises(MigrationRefusedError, match=f"holds {done} memories already"):
            await move(one, build("sqlite_vec", tmp_path / "to"), tmp_path / "c.json")

        progress = Recorder()
        report = await move(
            one, build("sqlite_vec", tmp_path / "to"), tmp_path / "c.json", resume=True, progress=progress
        )

        assert (report.migrated, report.existed) == (240, 0)
        assert progress.said[0] == "Resuming migration from Qdrant to Qdrant"
        async with opened(lambda path: build("sqlite_vec", path), tmp_path / "to") as other:
            same(await everything(one), await everything(other))


async def test_what_is_written_to_the_source_meanwhile_arrives_too(tmp_path: Path) -> None:
    items = sorted(collection(60), key=lambda item: item.memory.id)
    late = next(
        item for item in (memory(f"stored while it ran, {n}") for n in count()) if item.memory.id < items[10].memory.id
    )
    async with (
        opened(lambda path: build("embedded", path), tmp_path / "from") as one,
        opened(lambda path: build("embedded", path), tmp_path / "from") as service,
    ):
        await one.upsert(items)
        moving = Writing(one, service, deleted=items[0].memory.content_hash, stored=late)
        report = await move(moving, build("sqlite_vec", tmp_path / "to"), tmp_path / "c.json")  # type: ignore[arg-type]

        async with opened(lambda path: build("sqlite_vec", path), tmp_path / "to") as other:
            arrived = await everything(other)
    assert items[0].memory.content_hash not in arrived
    assert late.memory.content_hash in arrived
    assert len(arrived) == 60
    assert report.caught_up >= 1


async def test_what_others_write_to_the_target_of_an_interrupted_move_stays(tmp_path: Path) -> None:
    items = collection(240)
    async with opened(lambda path: build("embedded", path), tmp_path / "from") as one:
        await one.upsert(items)
        asked = iter([False, False, True])
        with pytest.raises(MigrationStoppedError):
            await move(one, build("sqlite_vec", tmp_path / "to"), tmp_path / "c.json", stopping=lambda: next(asked))
        theirs = memory("stored in the target before the move went on")
        async with opened(lambda path: build("sqlite_vec", path), tmp_path / "to") as other:
            changed = next(iter(await everything(other)))
            await other.upsert([theirs])
            await other.update(changed, MemoryChanges(tags=("theirs",)))

        await move(one, build("sqlite_vec", tmp_path / "to"), tmp_path / "c.json", resume=True)

    async with opened(lambda path: build("sqlite_vec", path), tmp_path / "to") as other:
        arrived = await everything(other)
    assert arrived[theirs.memory.content_hash].memory.content == theirs.memory.content
    assert arrived[changed].memory.tags == ("theirs",)
    assert len(arrived) == 241


async def test_a_merge_keeps_what_the_target_has(tmp_path: Path) -> None:
    items = collection(30)
    async with (
        opened(lambda path: build("embedded", path), tmp_path / "from") as one,
        opened(lambda path: build("sqlite_vec", path), tmp_path / "to") as other,
    ):
        await one.upsert(items)
        mine = memory(items[0].memory.content, tags=("mine",))
        await other.upsert([mine, memory("only here")])
        target = build("sqlite_vec", tmp_path / "to")

        report = await move(one, target, tmp_path / "c.json", merge=True, mode=UpsertMode.INSERT)

        there = await everything(other)
    assert (report.migrated, report.existed) == (30, 1)
    assert there[mine.memory.content_hash].memory.tags == ("mine",)
    assert len(there) == 31


async def test_a_migration_that_keeps_vectors_needs_no_model() -> None:
    with pytest.raises(EmbeddingError, match="--reembed"):
        await KeptVectors(MODEL).embed_documents(["a text"])
    assert KeptVectors(MODEL).identity == MODEL
    assert np.isfinite(collection(1)[0].vector).all()


class Writing:
    """The source as the migration sees it; after its first batch a service deletes and stores."""

    def __init__(self, source: BaseStorage, service: BaseStorage, *, deleted: str, stored: EmbeddedMemory) -> None:
        self._source = source
        self._service = service
        self._deleted = deleted
        self._stored = stored

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def iterate(self, **options: Any):  # type: ignore[no-untyped-def]
        first = True
        async for batch in self._source.iterate(**options):
            yield batch
            if first:
                first = False
                await self._service.delete([self._deleted])
                await self._service.upsert([self._stored])
