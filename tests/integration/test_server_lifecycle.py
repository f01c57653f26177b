"""Which collection a service uses: made once, found again, adopted or refused by name, never replaced in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient, models

from mcp_memory.domain.errors import ModelChangedError, StorageFormatError, StorageUnavailableError
from mcp_memory.domain.memory import MemoryChanges
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.domain.query import EVERYTHING, SearchMode, SearchQuery
from mcp_memory.storage.base import UpsertMode, UpsertOutcome
from mcp_memory.storage.payload import to_payload
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.dropping import drop_collection
from mcp_memory.storage.qdrant_server.lifecycle import physical_name, state_name
from mcp_memory.storage.qdrant_server.options import ServerOptions
from qdrant_backends import alias, server_url
from qdrant_server import own_server
from storage_samples import DIMENSIONS, MODEL, collection, memory, vector

pytestmark = pytest.mark.anyio
OTHER_MODEL = ModelIdentity("another-model", DIMENSIONS, "0badcafe00c0ffee")
LARGER_MODEL = ModelIdentity("larger-model", 2 * DIMENSIONS, "1badcafe00c0ffee")


@pytest.fixture
async def options(tmp_path: Path, anyio_backend: str) -> AsyncIterator[ServerOptions]:
    """An alias of this test's own, dropped afterwards with all that it stood for."""
    options = ServerOptions((server_url(),), MODEL, alias=alias(tmp_path))
    yield options
    async with connected(options) as client:
        for found in (await client.get_collections()).collections:
            if found.name.startswith(options.alias):
                await client.delete_collection(found.name)


def connected(options: ServerOptions) -> AsyncQdrantClient:
    return _Connected(options)


class _Connected:
    def __init__(self, options: ServerOptions) -> None:
        self._client = AsyncQdrantClient(url=options.urls[0], check_compatibility=False, timeout=20)

    async def __aenter__(self) -> AsyncQdrantClient:
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


async def started(options: ServerOptions) -> QdrantServerStorage:
    storage = QdrantServerStorage(options)
    await storage.initialize()
    return storage


async def test_five_services_that_start_at_once_share_one_collection(options: ServerOptions) -> None:
    storages = await asyncio.gather(*(started(options) for _ in range(5)))
    await asyncio.gather(*(storage.upsert([memory(f"from {n}")]) for n, storage in enumerate(storages)))
    assert [await storage.count(EVERYTHING) for storage in storages] == [5] * 5
    async with connected(options) as client:
        names = {found.name for found in (await client.get_collections()).collections}
    assert {name for name in names if name.startswith(options.alias)} == {
        physical_name(options.alias, MODEL),
        state_name(options.alias),
    }
    for storage in storages:
        await storage.close()


async def test_of_two_models_that_start_at_once_one_wins_and_the_other_is_told(options: ServerOptions) -> None:
    answers = await asyncio.gather(
        started(options), started(replace(options, model=OTHER_MODEL)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, ModelChangedError)]
    running = [answer for answer in answers if isinstance(answer, QdrantServerStorage)]
    assert (len(refused), len(running)) == (1, 1)
    assert await running[0].upsert([memory("kept")]) == [UpsertOutcome.STORED]
    await running[0].close()


async def test_indexes_and_identity_are_there_before_the_first_memory(options: ServerOptions) -> None:
    storage = await started(options)
    async with connected(options) as client:
        info = await client.get_collection(options.alias)
    assert set(info.payload_schema) >= {
        "tags",
        "memory_type",
        "content_hash",
        "store",
        "created_at",
        "updated_at",
        "revision",
        "content",
    }
    assert info.config.metadata is not None
    assert info.config.metadata["model"]["fingerprint"] == MODEL.fingerprint
    assert info.config.hnsw_config.m == 16
    await storage.close()


async def test_another_model_is_refused_with_the_way_out(options: ServerOptions) -> None:
    storage = await started(options)
    await storage.close()
    with pytest.raises(ModelChangedError, match=r"migrate_to_new_model\.py") as caught:
        await started(replace(options, model=LARGER_MODEL))
    assert (caught.value.old_model, caught.value.old_dimensions) == (MODEL.name, DIMENSIONS)


@pytest.mark.parametrize("running", [True, False])
async def test_a_collection_that_is_gone_is_never_made_again_in_silence(options: ServerOptions, running: bool) -> None:
    storage = await started(options)
    await storage.upsert([memory("lost")])
    if not running:
        await storage.close()
        storage = QdrantServerStorage(options)
    async with connected(options) as client:
        await client.delete_collection(physical_name(options.alias, MODEL))
    with pytest.raises(StorageFormatError, match="once had it"):
        await (storage.upsert([memory("new")]) if running else storage.initialize())
    async with connected(options) as client:
        assert not await client.collection_exists(physical_name(options.alias, MODEL))
    await storage.close()


async def test_after_dropping_on_purpose_an_empty_collection_is_made(options: ServerOptions) -> None:
    storage = await started(options)
    await storage.upsert([memory("dropped")])
    await storage.close()
    assert set(await drop_collection(options)) == {physical_name(options.alias, MODEL), state_name(options.alias)}
    storage = await started(options)
    assert await storage.count(EVERYTHING) == 0
    await storage.close()


async def test_a_bare_collection_of_memories_is_adopted_whole(options: ServerOptions) -> None:
    items = collection(300)
    async with connected(options) as client:
        await client.create_collection(
            options.alias, vectors_config=models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)
        )
        await client.upsert(
            options.alias,
            [
                models.PointStruct(
                    id=item.memory.id,
                    vector=item.vector.tolist(),
                    payload=to_payload(item.memory) | {"created_at": item.memory.created_at},
                )
                for item in items
            ],
        )
    storage = await started(options)
    assert await storage.count(EVERYTHING) == 300
    item = items[7]
    found = (await storage.get_embedded([item.memory.content_hash]))[item.memory.content_hash]
    assert float(found.vector @ item.vector) > 0.9999
    text = item.memory.content
    hits = await storage.search(SearchQuery(SearchMode.HYBRID, text, item.vector, limit=1))
    assert hits[0].memory.content == text
    assert (await storage.search(SearchQuery(SearchMode.KEYWORD, text, limit=300)))[0].memory.content == text
    await storage.close()


async def test_a_bare_collection_of_something_else_is_refused_by_name_and_left_alone(options: ServerOptions) -> None:
    async with connected(options) as client:
        await client.create_collection(
            options.alias, vectors_config=models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)
        )
        await client.upsert(
            options.alias, [models.PointStruct(id=1, vector=vector(1).tolist(), payload={"title": "a film"})]
        )
        before = (await client.get_collection(options.alias)).config
        with pytest.raises(StorageFormatError, match=f"'{options.alias}' that isn't a memory store"):
            await started(options)
        assert (await client.get_collection(options.alias)).config == before


async def test_an_alias_repointed_to_another_model_while_running_is_noticed(options: ServerOptions) -> None:
    storage = await started(options)
    async with connected(options) as client:
        other = replace(options, alias=f"{options.alias}_other", model=OTHER_MODEL)
        await (await started(other)).close()
        swap = models.CreateAlias(collection_name=physical_name(other.alias, OTHER_MODEL), alias_name=options.alias)
        await client.update_collection_aliases([models.CreateAliasOperation(create_alias=swap)])
    with pytest.raises(ModelChangedError):
        await storage.upsert([memory("of the old model")], mode=UpsertMode.INSERT)
    with pytest.raises(ModelChangedError):
        await storage.search(SearchQuery(SearchMode.SEMANTIC, "old", vector(1)))
    await storage.close()


async def test_two_services_change_one_memory_and_both_changes_stay(options: ServerOptions) -> None:
    one, two = await started(options), await started(options)
    item = memory("shared")
    await one.upsert([item])
    hash_ = item.memory.content_hash
    changes = [MemoryChanges(metadata={f"k{number}": number}) for number in range(20)]
    answers = await asyncio.gather(
        *(storage.update(hash_, change) for change, storage in zip(changes, [one, two] * 10, strict=True))
    )
    kept = (await two.get([hash_]))[hash_]
    assert kept.metadata == {f"k{number}": number for number in range(20)}
    assert len({answer.revision for answer in answers}) == 20
    await one.close()
    await two.close()


async def test_a_wrong_key_is_a_clear_answer_and_the_right_one_is_used(tmp_path: Path) -> None:
    with own_server(tmp_path / "locked", api_key="right") as server:
        wrong = await started(ServerOptions((server.url,), MODEL, api_key="wrong"))
        with pytest.raises(StorageUnavailableError, match="refused the API key") as caught:
            await wrong.count(EVERYTHING)
        assert "MCP_QDRANT_API_KEY" in caught.value.message
        assert "wrong" not in caught.value.message
        health = await wrong.health()
        assert not health.healthy
        await wrong.close()

        right = await started(ServerOptions((server.url,), MODEL, api_key="right"))
        assert await right.count(EVERYTHING) == 0
        assert "right" not in repr(right.options)
        await right.close()
