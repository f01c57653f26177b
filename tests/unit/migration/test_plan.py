"""A migration is refused where it would mix places or models, and what kept vectors can't do is said."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from embedders import HashEmbedder
from mcp_memory.domain.errors import EmbeddingError
from mcp_memory.migration.checkpoint import SourceMark
from mcp_memory.migration.errors import MigrationRefusedError
from mcp_memory.migration.kept_vectors import KeptVectors
from mcp_memory.migration.origin import FileOrigin
from mcp_memory.migration.plan import check_model, check_places
from mcp_memory.migration.same_vectors import short_name
from mcp_memory.migration.sources.detect import source_at
from migration_world import EMBEDDER, rows, sqlite_target
from original_databases import Generation, OriginalRow, build, unit_vector

pytestmark = pytest.mark.anyio
SERVER = "http://127.0.0.1:6333#memories"


@pytest.mark.parametrize(
    ("source", "target"),
    [("a", "a"), ("a/b.db", "a"), ("a", "a/b"), ("link", "a"), ("a/../a/b.db", "a")],
)
def test_a_place_is_not_moved_into_itself(tmp_path: Path, source: str, target: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.db").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(MigrationRefusedError, match="the same place, or one lies in the other"):
        check_places(tmp_path / source, str(tmp_path / target))


def test_a_server_is_not_moved_into_itself_and_other_places_are_fine(tmp_path: Path) -> None:
    with pytest.raises(MigrationRefusedError, match="Source and target are the same"):
        check_places(SERVER, SERVER)
    check_places(SERVER, SERVER.replace("memories", "others"))
    check_places(tmp_path / "a.db", SERVER)
    check_places(SERVER, str(tmp_path))
    (tmp_path / "a.db").touch()
    check_places(tmp_path / "a.db", str(tmp_path / "a.db-qdrant"))
    check_places(tmp_path / "a.db", str(tmp_path / "qdrant"))
    (tmp_path / "folder").mkdir()
    check_places(tmp_path / "folder", str(tmp_path / "qdrant"))


def test_a_server_s_address_is_no_folder_of_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_places(tmp_path, SERVER)
    check_places(SERVER, str(tmp_path))


@pytest.mark.parametrize(
    "name",
    ["a/b/all-MiniLM-L6-v2", "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", " ORG/all-minilm-l6-V2 "],
)
def test_a_model_s_publisher_and_case_say_nothing_about_its_vectors(name: str) -> None:
    assert short_name(name) == "all-minilm-l6-v2"


async def refusal(tmp_path: Path, made: list[OriginalRow], dimensions: int, model: str | None = None) -> str | None:
    """What a database (which says that its vectors are of `model`) is refused with for the test's one; None where it isn't."""
    path = build(tmp_path / f"{uuid.uuid4()}.db", Generation.V12_4, made, dimensions=dimensions)
    target = sqlite_target(tmp_path / "target.db")
    with source_at(path) as source:
        origin = FileOrigin(source)
        try:
            await check_model(origin, replace(await origin.inspect(), model=model), target, EMBEDDER)
        except MigrationRefusedError as refused:
            return refused.message
    return None


async def test_vectors_of_the_model_are_kept(tmp_path: Path) -> None:
    assert await refusal(tmp_path, rows(20), 48) is None


async def test_vectors_of_another_size_are_refused_with_both_choices(tmp_path: Path) -> None:
    message = await refusal(tmp_path, [OriginalRow("text", unit_vector(1, 16))], 16)
    assert message is not None
    assert "are of 16 dimensions; the target takes those of" in message
    assert "--reembed" in message
    assert "MCP_EMBEDDING_MODEL" in message


async def test_a_model_that_the_source_names_decides(tmp_path: Path) -> None:
    foreign = [OriginalRow("text", unit_vector(1, 48))]
    assert await refusal(tmp_path, foreign, 48, f"publisher/{EMBEDDER.identity.name.upper()}") is None
    message = await refusal(tmp_path, rows(5), 48, "publisher/e5-small")
    assert message is not None
    assert "are of the model publisher/e5-small; the target takes those of hash-projection (48 dimensions)" in message
    assert "set MCP_EMBEDDING_MODEL to publisher/e5-small" in message


async def test_of_a_source_that_names_none_the_model_that_made_them_is_meant(tmp_path: Path) -> None:
    message = await refusal(tmp_path, [OriginalRow("text", unit_vector(1, 16))], 16)
    assert message is not None
    assert "set MCP_EMBEDDING_MODEL to the model that made them" in message


async def test_a_source_without_short_texts_with_a_vector_is_taken_at_its_word(tmp_path: Path) -> None:
    long = OriginalRow("x" * 401, unit_vector(1, 48))
    assert await refusal(tmp_path, [long, OriginalRow("no vector")], 48) is None
    assert await refusal(tmp_path, [OriginalRow("x" * 400, unit_vector(1, 48))], 48) is not None


async def test_an_empty_source_mixes_nothing_up(tmp_path: Path) -> None:
    assert await refusal(tmp_path, [], 48) is None


async def test_vectors_of_another_model_of_the_same_size_are_found_out(tmp_path: Path) -> None:
    foreign = [OriginalRow(row.content, unit_vector(number, 48)) for number, row in enumerate(rows(20))]
    message = await refusal(tmp_path, foreign, 48)
    assert message is not None
    assert "another model (cosine 0." in message or "another model (cosine -0." in message


async def test_one_memory_with_a_broken_vector_does_not_stop_the_others(tmp_path: Path) -> None:
    """The median decides."""
    one = OriginalRow("another text", unit_vector(5, 48))
    assert await refusal(tmp_path, [one, *rows(15)], 48) is None


async def test_a_source_is_known_by_its_absolute_path_kind_and_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build(tmp_path / "a.db", Generation.V12_4, rows(3), dimensions=48)
    monkeypatch.chdir(tmp_path)
    with source_at(Path("a.db")) as source:
        report = await FileOrigin(source).inspect()
    mark = SourceMark.of(report)
    assert (mark.path, mark.kind, mark.fingerprint) == (str(path), report.kind.value, report.fingerprint)


async def test_kept_vectors_embed_nothing() -> None:
    kept = KeptVectors(HashEmbedder(48).identity)
    assert kept.identity == EMBEDDER.identity
    with pytest.raises(EmbeddingError, match=r"^1 memories have no vector of .*--reembed"):
        await kept.embed_query("text")
    with pytest.raises(EmbeddingError, match=r"^2 memories have no vector of "):
        await kept.embed_documents(["one", "two"])
    await kept.close()
