"""Writes, updates and deletes of services at the very moment when a new collection takes over on a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mcp_memory.domain.errors import ModelChangedError, StorageError
from mcp_memory.domain.memory import Memory, MemoryChanges, content_hash
from mcp_memory.domain.query import EVERYTHING, SearchMode, SearchQuery
from mcp_memory.migration.model_change import FEW
from mcp_memory.storage.base import BaseStorage
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.lifecycle import create_collection
from mcp_memory.storage.qdrant_server.options import ServerOptions
from mcp_memory.storage.qdrant_server.schema import Identity
from mcp_memory.storage.qdrant_server.succession import ServerSuccession
from mcp_memory.storage.succession import StoredCollection
from model_change_world import NEW, OLD, Store, change, content, embedded, fill, opened, server_store, texts
from qdrant_backends import alias, server_url

pytestmark = pytest.mark.anyio
Act = Callable[[BaseStorage], Awaitable[object]]
TEXTS = texts(20)
HASHES = [content_hash(text) for text in TEXTS]


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    made = server_store(tmp_path)
    await fill(made, 20)
    return made


async def raced(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    before: Act | None = None,
    after: Act | None = None,
    late: Act | None = None,
) -> dict[str, Memory]:
    """A change in which an old service acts just before the alias is repointed, when the last comparison is over; a new one
    right after it; and an old write that was under way arrives later still. What the new collection holds at the end, by text.
    """
    succession_of = ServerSuccession.take_over
    old = store.storage(OLD.identity)
    await old.initialize()
    places: dict[str, str] = {}

    async def take_over(self: ServerSuccession, new: StoredCollection, *, backup: str) -> StoredCollection:
        places["old"] = (await self.present()).place
        if before is not None:
            await before(old)
        answer = await succession_of(self, new, backup=backup)
        if after is not None:
            async with opened(store.storage(NEW.identity)) as service:
                await after(service)
        if late is not None:
            await late(self.storage(StoredCollection("", OLD.identity, places["old"])))
        return answer

    monkeypatch.setattr(ServerSuccession, "take_over", take_over)
    try:
        await change(store, tmp_path / "c.json")
    finally:
        await old.close()
    return {memory.content: memory for memory, _ in (await content(store, NEW.identity)).values()}


def stores(text: str) -> Act:
    return lambda storage: storage.upsert([embedded(OLD if _dimensions(storage) == 24 else NEW, text)])


def deletes(number: int) -> Act:
    return lambda storage: storage.delete([HASHES[number]])


def tags(number: int, tag: str) -> Act:
    return lambda storage: storage.update(HASHES[number], MemoryChanges(tags=(tag,)))


def both(*acts: Act) -> Act:
    async def run(storage: BaseStorage) -> None:
        for act in acts:
            await act(storage)

    return run


def _dimensions(storage: BaseStorage) -> int:
    assert isinstance(storage, QdrantServerStorage)
    return storage.options.model.dimensions


async def test_a_memory_stored_at_the_last_moment_is_there(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "last moment" in await raced(store, tmp_path, monkeypatch, before=stores("last moment"))


async def test_an_update_at_the_last_moment_counts(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = await raced(store, tmp_path, monkeypatch, before=tags(3, "late"))
    assert after[TEXTS[3]].tags == ("late",)


async def test_a_memory_deleted_at_the_last_moment_is_gone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = await raced(store, tmp_path, monkeypatch, before=deletes(4))
    assert TEXTS[4] not in after
    assert len(after) == 19


async def test_what_services_of_the_new_model_do_at_once_stays(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = both(stores("first of the new model"), deletes(5), tags(6, "new"))
    after = await raced(store, tmp_path, monkeypatch, after=acts)
    assert "first of the new model" in after
    assert TEXTS[5] not in after
    assert after[TEXTS[6]].tags == ("new",)
    assert len(after) == 20


async def test_later_acts_win_over_earlier_ones_on_both_sides_of_the_swap(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = await raced(
        store,
        tmp_path,
        monkeypatch,
        before=both(tags(7, "old"), deletes(8), tags(9, "old")),
        after=both(deletes(7), stores(TEXTS[8]), tags(9, "new")),
    )
    assert TEXTS[7] not in after, "updated in the old collection, deleted in the new one: deleted"
    assert TEXTS[8] in after, "deleted in the old collection, stored again in the new one: there"
    assert after[TEXTS[9]].tags == ("new",)


async def test_a_write_that_was_under_way_arrives_too(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def straggler(storage: BaseStorage) -> None:
        async with opened(storage) as old:
            await old.upsert([embedded(OLD, "a straggler")])
            await old.delete([HASHES[10]])

    after = await raced(store, tmp_path, monkeypatch, late=straggler)
    assert "a straggler" in after
    assert TEXTS[10] not in after


async def test_a_running_service_of_the_old_model_answers_until_the_swap_and_then_refuses_by_name(
    store: Store, tmp_path: Path
) -> None:
    query = SearchQuery(SearchMode.SEMANTIC, None, OLD._vector("kernel number0"), limit=3)
    async with opened(store.storage(OLD.identity)) as service:
        first = [hit.memory.content_hash for hit in await service.search(query)]
        answered: list[list[str]] = []

        class Watching(type(NEW)):  # type: ignore[misc]
            async def embed_documents(self, given: Any) -> Any:
                answered.append([hit.memory.content_hash for hit in await service.search(query)])
                return await super().embed_documents(given)

        await change(store, tmp_path / "c.json", embedder=Watching("new-model", 40))
        assert answered == [first, first]

        with pytest.raises(ModelChangedError, match="Embedding model changed"):
            await service.search(query)
        with pytest.raises(ModelChangedError):
            await service.upsert([embedded(OLD, "of the old model")])
        async with store.succession() as succession:
            (backup,) = await succession.backups()
            await succession.roll_back(backup, keep_as=f"{succession.name}_backup_new_20260101T000000Z")
        assert [hit.memory.content_hash for hit in await service.search(query)] == first
        assert await service.count(EVERYTHING) == 20


async def test_a_service_that_writes_faster_than_texts_are_embedded_does_not_put_off_the_swap(
    store: Store, tmp_path: Path
) -> None:
    written: list[str] = []
    async with opened(store.storage(OLD.identity)) as service:

        class Outpaced(type(NEW)):  # type: ignore[misc]
            """While a round embeds its one batch, the service stores too many for the next one to be the last."""

            async def embed_documents(self, given: Any) -> Any:
                assert len(written) < 100 * FEW, "the rounds before the swap have no end"
                more = [f"written meanwhile {len(written) + number}" for number in range(FEW + 1)]
                with suppress(ModelChangedError):  # the swap is over
                    await service.upsert([embedded(OLD, text) for text in more])
                    written.extend(more)
                return await super().embed_documents(given)

        report = await change(store, tmp_path / "c.json", embedder=Outpaced("new-model", 40), batch_size=1_000)
    assert report.memories == 20 + len(written)
    after = {memory.content for memory, _ in (await content(store, NEW.identity)).values()}
    assert after == {*TEXTS, *written}


async def test_a_running_service_of_the_new_model_finds_the_new_collection(store: Store, tmp_path: Path) -> None:
    """It waited for the change: every operation tries again."""
    service = store.storage(NEW.identity)
    with pytest.raises(ModelChangedError):
        await service.initialize()
    await change(store, tmp_path / "c.json")
    try:
        assert await service.count(EVERYTHING) == 20
    finally:
        await service.close()


async def test_a_collection_of_the_name_itself_is_refused_with_the_way_that_is_left(tmp_path: Path) -> None:
    options = ServerOptions((server_url(),), OLD.identity, alias=alias(tmp_path / "bare"), managed=False)
    async with ServerSuccession(options) as succession:
        with pytest.raises(StorageError, match="There is no collection"):
            await succession.present()
        catalog = succession._catalog
        await create_collection(catalog, options, options.alias, Identity.of(OLD.identity))
        try:
            with pytest.raises(StorageError, match="not an alias") as told:
                await succession.present()
            assert f"--target '{server_url()}#{options.alias}2' --reembed" in told.value.message
            assert await succession.stored_model() == OLD.identity
        finally:
            await catalog.delete(options.alias)
