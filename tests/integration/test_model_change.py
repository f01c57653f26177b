"""Another embedding model for a store that is there: filled beside, swapped, rolled back, pruned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mcp_memory.domain.errors import EmbeddingError, ModelChangedError, StorageError
from mcp_memory.domain.memory import MemoryChanges, content_hash
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.migration.differences import Losses, losses
from mcp_memory.migration.errors import MigrationFailedError, MigrationRefusedError, MigrationStoppedError
from mcp_memory.storage.succession import find_backup
from migration_world import Recorder
from model_change_world import (
    NEW,
    OLD,
    STORES,
    NamedEmbedder,
    Store,
    answers,
    change,
    cluster_store,
    content,
    embedded,
    fill,
    opened,
    texts,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.anyio
QUESTIONS = [
    f"{word} number{number}" for number in range(20) for word in ("kernel", "garden", "deploy", "music", "river")
]


ON_EVERY_KIND = pytest.mark.parametrize("store", [*STORES, "cluster"], indirect=True)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return {**STORES, "cluster": cluster_store}[request.param](tmp_path)


@ON_EVERY_KIND
async def test_every_memory_is_embedded_anew_and_all_else_stays(store: Store, tmp_path: Path) -> None:
    contents = await fill(store)
    before = await content(store, OLD.identity)
    progress = Recorder("Re-embedded")

    report = await change(store, tmp_path / "c.json", progress=progress)

    after = await content(store, NEW.identity)
    assert {hash_: memory for hash_, (memory, _) in after.items()} == {
        hash_: memory for hash_, (memory, _) in before.items()
    }
    for text in contents:
        _, vector = next(pair for pair in after.values() if pair[0].content == text)
        assert np.frombuffer(vector, np.float32) @ NEW._vector(text) > 0.999
    assert (report.memories, report.old, report.new) == (60, OLD.identity, NEW.identity)
    lines = progress.said
    assert lines[0] == "Creating new collection with 40-dim vectors"
    assert lines[1].startswith("Re-embedded 10/60 (16.7%) - ")
    assert lines[-2] == "Re-embedding complete! 60/60 (100%)"
    assert report.backup is not None
    assert lines[-1].startswith("Swapping collections: ")
    assert report.backup in lines[-1]
    assert "_new_" in lines[-1]
    with pytest.raises(ModelChangedError, match=r"Embedding model changed: new-model → org/old-model\.v1"):
        await content(store, OLD.identity)


@ON_EVERY_KIND
async def test_rollback_gives_the_same_answers_to_100_questions(store: Store, tmp_path: Path) -> None:
    await fill(store)
    before = await answers(store, OLD, QUESTIONS)
    assert len(before) == 100
    report = await change(store, tmp_path / "c.json")
    now = await answers(store, NEW, QUESTIONS)
    assert now != before
    assert report.backup is not None

    async with store.succession() as succession:
        backups = await succession.backups()
        backup = find_backup(report.backup.rsplit("T", 1)[0], backups, succession.address)  # the guide's: by the day
        kept = await succession.roll_back(backup, keep_as=f"{succession.name}_backup_new-model_20260101T000000Z")
        assert [one.name for one in await succession.backups()] == [kept.name]
        assert (await succession.present()).model == OLD.identity

    assert await answers(store, OLD, QUESTIONS) == before
    async with store.succession() as succession:
        (forward,) = await succession.backups()
        await succession.roll_back(forward, keep_as=f"{succession.name}_backup_old_20260102T000000Z")
    assert await answers(store, NEW, QUESTIONS) == now


async def test_backups_are_kept_until_they_are_pruned(store: Store, tmp_path: Path) -> None:
    await fill(store, 20)
    third = NamedEmbedder("third", 24)
    await change(store, tmp_path / "1.json")
    await change(store, tmp_path / "2.json", old="new-model", embedder=third)
    await change(store, tmp_path / "3.json", old="third", embedder=OLD)  # back to a model whose backup is there

    async with store.succession() as succession:
        backups = await succession.backups()
        assert [one.model.name for one in backups] == [OLD.identity.name, "new-model", "third"]
        with pytest.raises(StorageError, match="There is no backup 'nothing'") as told:
            find_backup("nothing", backups, succession.address)
        assert all(one.name in told.value.message for one in backups)
        for one in backups:
            await succession.delete(one)
        assert not await succession.backups()
        with pytest.raises(StorageError, match="answers"):
            await succession.delete(await succession.present())

    assert len(await content(store, OLD.identity)) == 20


async def test_what_only_a_backup_has_is_counted_before_it_goes(store: Store, tmp_path: Path) -> None:
    contents = await fill(store, 20)
    await change(store, tmp_path / "c.json")
    async with opened(store.storage(NEW.identity)) as service:
        await service.upsert([embedded(NEW, f"stored since {number}", number) for number in range(3)])
        await service.update(content_hash(contents[0]), MemoryChanges(tags=("changed",)))
        await service.delete([content_hash(contents[1])])

    async with store.succession() as succession:
        (backup,) = await succession.backups()
        async with succession.reading(backup) as old, succession.reading(await succession.present()) as new:
            assert await losses(old, new) == Losses(only_there=1, newer_there=0)
            assert await losses(new, old) == Losses(only_there=3, newer_there=1)
            assert await old.count(EVERYTHING) == 20
        assert [one.name for one in await succession.backups()] == [backup.name]
    assert len(await content(store, NEW.identity)) == 22


async def test_no_keep_backup_deletes_the_old_collection(store: Store, tmp_path: Path) -> None:
    await fill(store, 20)

    report = await change(store, tmp_path / "c.json", keep_backup=False)

    assert report.backup is None
    async with store.succession() as succession:
        assert not await succession.backups()
    assert len(await content(store, NEW.identity)) == 20


async def test_a_stopped_change_leaves_the_old_model_and_resume_embeds_only_the_rest(
    store: Store, tmp_path: Path
) -> None:
    await fill(store)
    before = await content(store, OLD.identity)
    embedder = NamedEmbedder("new-model", 40)
    with pytest.raises(MigrationStoppedError):
        await change(store, tmp_path / "c.json", embedder=embedder, stopping=lambda: len(embedder.embedded) >= 30)
    assert await content(store, OLD.identity) == before
    with pytest.raises(MigrationRefusedError, match="--resume"):
        await change(store, tmp_path / "other.json")

    report = await change(store, tmp_path / "c.json", embedder=embedder, resume=True)

    assert report.memories == 60
    assert sorted(embedder.embedded) == sorted(texts(60))
    assert len(await content(store, NEW.identity)) == 60


async def test_a_change_that_makes_no_sense_is_refused_and_changes_nothing(store: Store, tmp_path: Path) -> None:
    await fill(store, 5)
    with pytest.raises(MigrationRefusedError, match=r"were embedded by org/old-model\.v1, not by another"):
        await change(store, tmp_path / "c.json", old="another")
    with pytest.raises(MigrationRefusedError, match="already"):
        await change(store, tmp_path / "c.json", embedder=OLD)
    with pytest.raises(MigrationRefusedError, match="no checkpoint"):
        await change(store, tmp_path / "c.json", resume=True)
    assert not (tmp_path / "c.json").exists()
    async with store.succession() as succession:
        assert not await succession.unfinished()
        assert not await succession.backups()


async def test_texts_that_cannot_be_embedded_keep_the_old_model_answering(store: Store, tmp_path: Path) -> None:
    await fill(store, 30)
    before = await content(store, OLD.identity)

    with pytest.raises(MigrationFailedError, match="2 memories could not be embedded"):
        await change(store, tmp_path / "c.json", embedder=Choosy("number7 ", "number11 "))

    assert await content(store, OLD.identity) == before
    report = await change(store, tmp_path / "c.json", resume=True)
    assert report.memories == 30


@ON_EVERY_KIND
async def test_what_is_written_while_the_new_collection_is_filled_is_caught_up(store: Store, tmp_path: Path) -> None:
    contents = await fill(store)
    await change(store, tmp_path / "c.json", embedder=(writer := Writing(store, contents)))
    assert writer.wrote

    after = {memory.content: memory for memory, _ in (await content(store, NEW.identity)).values()}

    assert contents[3] not in after
    assert after[contents[4]].tags == ("changed",)
    assert "stored meanwhile" in after
    assert len(after) == 60
    async with opened(store.storage(NEW.identity)) as storage:
        assert await storage.count(EVERYTHING) == 60


class Choosy(NamedEmbedder):
    """Refuses texts that hold certain words."""

    def __init__(self, *words: str) -> None:
        super().__init__("new-model", 40)
        self._words = words

    async def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        for text in texts:
            if any(word in text for word in self._words):
                raise EmbeddingError(f"refused: {text}")
        return await super().embed_documents(texts)


class Writing(NamedEmbedder):
    """A service of the old model writes while the third batch is embedded."""

    def __init__(self, store: Store, contents: list[str]) -> None:
        super().__init__("new-model", 40)
        self._store = store
        self._contents = contents
        self._left = 3
        self.wrote = False

    async def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self._left -= 1
        if self._left == 0:
            async with opened(self._store.storage(OLD.identity)) as service:
                await service.delete([content_hash(self._contents[3])])
                await service.update(content_hash(self._contents[4]), MemoryChanges(tags=("changed",)))
                await service.upsert([embedded(OLD, "stored meanwhile")])
            self.wrote = True
        return await super().embed_documents(texts)
