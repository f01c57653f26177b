"""What a storage folder may be, and that a folder which isn't a whole store of ours is named and left as it was."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcp_memory.domain.errors import (
    DimensionMismatchError,
    MemoryServiceError,
    ModelChangedError,
    StorageError,
    StorageFormatError,
)
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.domain.query import EVERYTHING, SearchMode, SearchQuery
from mcp_memory.storage.qdrant_embedded import manifest
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions, Transport
from storage_samples import MODEL, collection, memory, vector

pytestmark = pytest.mark.anyio


def build(path: Path, model: ModelIdentity = MODEL, **options: object) -> QdrantEmbeddedStorage:
    return QdrantEmbeddedStorage(EmbeddedOptions(path, model, disk_reserve_bytes=0, **options))  # type: ignore[arg-type]


async def make_store(path: Path) -> None:
    storage = build(path)
    await storage.initialize()
    await storage.upsert(collection(20))
    await storage.close()


def contents(path: Path) -> dict[str, bytes | None]:
    """Everything below a folder except the engine's own lock and log."""
    return {
        str(entry.relative_to(path)): entry.read_bytes() if entry.is_file() else None
        for entry in path.rglob("*")
        if not entry.name.startswith("engine.")
    }


def client_local_mode(path: Path) -> None:
    (path / "collection" / "memories").mkdir(parents=True)
    (path / "meta.json").write_text('{"collections": {}}')


def qdrant_server(path: Path) -> None:
    (path / "collections" / "memories").mkdir(parents=True)
    (path / "raft_state.json").write_text("{}")


def bare_shard(path: Path) -> None:
    (path / "segments").mkdir()
    (path / "edge_config.json").write_text("{}")


def letters(path: Path) -> None:
    (path / "thesis.tex").write_text("precious")


def other_manifest(path: Path) -> None:
    (path / "manifest.json").write_text('{"name": "a web extension", "manifest_version": 3}')


@pytest.mark.parametrize(
    ("fill", "named"),
    [
        (client_local_mode, "qdrant-client's local mode"),
        (qdrant_server, "Qdrant server"),
        (bare_shard, "bare qdrant-edge shard"),
        (letters, "thesis.tex"),
        (other_manifest, "isn't a manifest of this product"),
    ],
)
async def test_a_foreign_folder_is_named_and_left_alone(
    tmp_path: Path, fill: Callable[[Path], None], named: str
) -> None:
    fill(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(StorageFormatError, match=named):
        await build(tmp_path).initialize()
    assert contents(tmp_path) == before
    assert not (tmp_path / "engine.lock").exists()


def truncate(path: Path) -> None:
    text = (path / "manifest.json").read_bytes()
    (path / "manifest.json").write_bytes(text[: len(text) // 2])


def empty(path: Path) -> None:
    (path / "manifest.json").write_bytes(b"")


def newer(path: Path) -> None:
    fields = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**fields, "format": 99, "shape": {"new": True}}))


def without_shard(path: Path) -> None:
    (path / "generations" / "1").rename(path / "generations" / "elsewhere")


def without_segments(path: Path) -> None:
    (path / "generations" / "1" / "segments").rename(path / "generations" / "1" / "moved")


def without_manifest(path: Path) -> None:
    (path / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "damaged"),
        (empty, "damaged"),
        (newer, "format version 99"),
        (without_shard, "generations/1 is missing"),
        (without_segments, "segments is missing"),
        (without_manifest, "has lost its manifest.json"),
    ],
)
async def test_a_damaged_or_newer_store_is_named_and_never_created_anew(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "store"
    await make_store(path)
    damage(path)
    before = contents(path)
    with pytest.raises(StorageFormatError, match=message):
        await build(path).initialize()
    assert contents(path) == before


async def test_a_creation_that_was_cut_off_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "store"
    await make_store(path)
    (path / "manifest.json").unlink()
    (path / "creating").touch()
    storage = build(path)
    await storage.initialize()
    assert await storage.count(EVERYTHING) == 0
    await storage.close()
    assert not (path / "creating").exists()


async def test_leftover_generations_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "store"
    await make_store(path)
    (path / "generations" / "2" / "segments").mkdir(parents=True)
    storage = build(path)
    await storage.initialize()
    assert await storage.count(EVERYTHING) == 20
    await storage.close()
    assert [entry.name for entry in (path / "generations").iterdir()] == ["1"]


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps folders private by their place in the user's profile")
async def test_everything_in_the_folder_is_private_and_a_wider_folder_is_tightened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store"
    path.mkdir()
    path.chmod(0o755)
    await make_store(path)
    assert "had mode 0755: tightened to 0700" in caplog.text

    wide = next(path.glob("generations/1/edge_config.json"))
    wide.chmod(0o644)
    storage = build(path)
    await storage.initialize()
    for entry in (path, *path.rglob("*")):
        mode = stat.S_IMODE(entry.stat().st_mode)
        assert mode == (0o700 if entry.is_dir() else 0o600), entry
    await storage.close()


async def test_another_model_is_refused_in_the_words_of_the_guide(tmp_path: Path) -> None:
    path = tmp_path / "store"
    await make_store(path)
    other = ModelIdentity("text-embedding-ada-002", 1536, "77aa00112233")
    with pytest.raises(ModelChangedError) as caught:
        await build(path, other).initialize()
    assert str(caught.value) == (
        "Embedding model changed: sample-model → text-embedding-ada-002\n"
        "Vector dimensions: 32 → 1536\n"
        "\n"
        "REQUIRED ACTION: Migrate existing memories to new model.\n"
        "Run:\n"
        "  python scripts/migration/migrate_to_new_model.py \\\n"
        "    --old-model sample-model \\\n"
        "    --new-model text-embedding-ada-002\n"
        "or, without a clone of the repository:\n"
        "  memory migrate model --old-model sample-model --new-model text-embedding-ada-002"
    )
    same_size = ModelIdentity("finetuned", 32, "feedface00000000")
    with pytest.raises(ModelChangedError):
        await build(path, same_size).initialize()


async def test_a_query_vector_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    storage = build(tmp_path / "store")
    await storage.initialize()
    with pytest.raises(DimensionMismatchError, match="Expected 32, got 8"):
        await storage.search(SearchQuery(SearchMode.SEMANTIC, "x", vector(1, 8)))
    await storage.close()


async def test_another_collection_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store"
    await make_store(path)
    with pytest.raises(StorageError, match="holds the collection 'memories', not 'others'"):
        await build(path, collection="others").initialize()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mm") as folder:
        yield Path(folder)


async def test_a_long_path_gets_its_socket_in_the_runtime_folder(
    tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = short_folder
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    path = tmp_path / ("a" * 60) / ("b" * 60)
    one, two = build(path), build(path)
    await one.initialize()
    await one.upsert([memory("far away")])
    await two.initialize()
    assert await two.count(EVERYTHING) == 1
    assert stat.S_IMODE(next(runtime.iterdir()).stat().st_mode) == 0o700
    await one.close()
    await two.close()


async def test_over_a_loopback_port_only_the_token_opens(tmp_path: Path) -> None:
    path = tmp_path / "store"
    storage = build(path, transport=Transport.TCP)
    await storage.initialize()
    await storage.upsert(collection(300))
    assert await storage.count(EVERYTHING) == 300
    address = json.loads((path / "engine.json").read_text())
    assert stat.S_IMODE((path / "engine.json").stat().st_mode) == 0o600

    (path / "engine.json").write_text(json.dumps({**address, "token": "guessed"}))
    with pytest.raises(MemoryServiceError, match="token"):
        await build(path, transport=Transport.TCP).initialize()
    (path / "engine.json").write_text(json.dumps(address))
    await storage.close()


async def test_an_older_format_is_upgraded_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "manifest.json"
    fields = {
        "product": "mcp-memory",
        "format": 0,
        "name": "memories",
        "model": {"name": "m", "dimensions": 4, "fingerprint": "ab"},
        "generation": 3,
        "quantization": {"kind": "turbo4", "oversampling": 2.0},
    }
    with pytest.raises(StorageFormatError, match="no way leads from format version 0"):
        manifest.parse(path, fields)
    monkeypatch.setattr(manifest, "UPGRADES", {0: lambda old: {**old, "collection": old["name"]}})
    upgraded = manifest.parse(path, fields)
    assert (upgraded.format, upgraded.collection, upgraded.generation) == (manifest.FORMAT, "memories", 3)
