"""Stores that earlier releases wrote are opened by this one, whole."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from mcp_memory.domain.memory import SUPERSEDED_BY, MemoryChanges
from mcp_memory.domain.query import EVERYTHING, MemoryFilter, SearchMode, SearchQuery
from mcp_memory.storage.qdrant_embedded import manifest
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_embedded.plan import next_generation
from mcp_memory.storage.qdrant_embedded.shard_config import TURBO
from storage_samples import MODEL, collection, memory

pytestmark = pytest.mark.anyio
ARCHIVES = sorted((Path(__file__).parents[2] / "data").glob("storage-format-*.tar.gz"))


def test_this_format_has_an_archive() -> None:
    names = [archive.name for archive in ARCHIVES]
    assert f"storage-format-{manifest.FORMAT}.tar.gz" in names, (
        "run tests/data/make_storage_format.py and commit its file"
    )


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
async def test_a_store_of_an_earlier_release_opens_whole(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    for _ in range(2):  # as it was written, and as this release left it
        storage = QdrantEmbeddedStorage(EmbeddedOptions(tmp_path / "store", MODEL, disk_reserve_bytes=0))
        await storage.initialize()
        items = collection(60)
        found = await storage.get_embedded([item.memory.content_hash for item in items])
        assert len(found) == 55
        for item in items[6:]:
            stored = found[item.memory.content_hash]
            assert stored.memory.content == item.memory.content
            assert (stored.memory.tags, stored.memory.metadata) == (item.memory.tags, item.memory.metadata)
            assert float(stored.vector @ item.vector) > 0.9999
        updated = found[items[5].memory.content_hash].memory
        assert (updated.tags, updated.metadata["more"]) == (("updated",), 0.1 + 0.2)
        hits = await storage.search(SearchQuery(SearchMode.HYBRID, items[9].memory.content, items[9].vector, limit=1))
        assert hits[0].memory.content_hash == items[9].memory.content_hash
        await storage.upsert([memory("written by this release")])
        await storage.delete([memory("written by this release").memory.content_hash])
        assert await storage.count(EVERYTHING) == await storage.count(MemoryFilter(current_only=True)) == 55
        await storage.close()
    assert manifest.stored_format(tmp_path / "store") == manifest.FORMAT


async def test_a_store_with_older_terms_is_brought_up_to_date_by_optimize_and_finds_its_words(tmp_path: Path) -> None:
    with tarfile.open(ARCHIVES[0]) as packed:
        packed.extractall(tmp_path, filter="data")
    store = tmp_path / "store"
    assert manifest.read(store).terms == 1
    storage = QdrantEmbeddedStorage(EmbeddedOptions(store, MODEL, disk_reserve_bytes=0))
    await storage.initialize()
    words = SearchQuery(SearchMode.KEYWORD, "京大", limit=100)
    assert await storage.search(words) == []
    report = await storage.optimize()
    assert report.changed
    assert "keyword search finds more words" in report.message
    exact = await storage.search(SearchQuery(SearchMode.EXACT, "京大", limit=100))
    assert exact
    assert {hit.memory.id for hit in await storage.search(words)} == {hit.memory.id for hit in exact}
    assert await storage.count(EVERYTHING) == 55
    assert not (await storage.optimize()).changed
    await storage.close()
    assert manifest.read(store).terms == 2


def test_a_manifest_of_an_earlier_release_asks_for_a_generation_with_todays_terms(tmp_path: Path) -> None:
    fields = {
        "collection": "memories",
        "model": {"name": "m", "dimensions": 32, "fingerprint": "0123456789abcdef"},
        "generation": 3,
        "quantization": {"kind": "turbo4", "oversampling": 2.0},
        "format": manifest.FORMAT,
        "product": manifest.PRODUCT,
    }
    old = manifest.parse(tmp_path / "manifest.json", fields)
    assert (old.terms, old.quantization.ef, old.quantization.measured) == (1, 128, 0)
    plan = next_generation(old, count=10, segments=1, graph_threshold=0, quantization=TURBO)
    assert plan is not None
    assert "keyword search" in plan.reason


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
async def test_memories_of_an_earlier_release_can_be_superseded(archive: Path, tmp_path: Path) -> None:
    """Its store has no index for that: it is made when the first is superseded, and used from then on."""
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    hash_ = collection(60)[9].memory.content_hash
    for _ in range(2):
        storage = QdrantEmbeddedStorage(EmbeddedOptions(tmp_path / "store", MODEL, disk_reserve_bytes=0))
        await storage.initialize()
        await storage.update(hash_, MemoryChanges(metadata={SUPERSEDED_BY: "0" * 64}))
        assert await storage.count(MemoryFilter(current_only=True)) == 54
        assert await storage.count(EVERYTHING) == 55
        await storage.close()
