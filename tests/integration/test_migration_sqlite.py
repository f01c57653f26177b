"""A migration brings everything over, says what it did, and refuses what would lose or mix something."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from embedders import HashEmbedder
from mcp_memory.domain.errors import EmbeddingError, ModelChangedError, StorageError, StorageUnavailableError
from mcp_memory.domain.foreign_notes import IMPORTED_KEY, Note
from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.domain.query import EVERYTHING, MemoryFilter
from mcp_memory.migration.checkpoint import Checkpoint
from mcp_memory.migration.copying import PIPELINED
from mcp_memory.migration.errors import MigrationRefusedError, MigrationStoppedError
from mcp_memory.migration.plan import Validation
from mcp_memory.migration.target import Target
from mcp_memory.storage.base import UpsertMode, UpsertOutcome
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.dropping import drop_collection
from mcp_memory.storage.qdrant_server.options import ServerOptions
from mcp_memory.storage.sqlite_vec.backend import SqliteVecStorage
from mcp_memory.storage.sqlite_vec.options import SqliteVecOptions
from migration_world import (
    DIMENSIONS,
    EMBEDDER,
    MODEL,
    Recorder,
    content,
    migrate,
    rows,
    source,
    sqlite_target,
    target,
    vector_of,
)
from original_databases import Edge, Generation, OriginalRow, build, open_original, original_hash, unit_vector
from qdrant_backends import alias, server_url

pytestmark = pytest.mark.anyio


def embedded_target(folder: Path) -> Target:
    return target(folder, QdrantEmbeddedStorage(EmbeddedOptions(folder, MODEL, disk_reserve_bytes=0)))


@pytest.mark.parametrize("generation", list(Generation), ids=lambda generation: generation.name)
async def test_every_generation_comes_over_whole_into_the_embedded_engine(
    tmp_path: Path, generation: Generation
) -> None:
    made = rows(120)
    path = build(tmp_path / "sqlite_vec.db", generation, made, dimensions=DIMENSIONS)
    to, progress = embedded_target(tmp_path / "qdrant"), Recorder()

    report = await migrate(path, to, tmp_path / "c.json", progress=progress)

    assert report.succeeded
    assert (report.total, report.migrated, report.verified, report.existed) == (120, 120, 120, 0)
    assert progress.said == [
        "Starting migration from SQLite to Qdrant",
        *(line for line in progress.said if line.startswith("Migrated ")),
        "Migration complete! 120/120 (100%)",
        "Validation: 120 memories verified, 0 errors",
    ]
    assert [line.split(" - ")[0] for line in progress.said[1:-2]] == [
        "Migrated 20/120 (16.7%)",
        "Migrated 100/120 (83.3%)",
    ]
    found = await content(embedded_target(tmp_path / "qdrant"))
    assert {hash_: memory.content for hash_, (memory, _) in found.items()} == {
        original_hash(row.content): row.content for row in made
    }
    stores = {memory.store for memory, _ in found.values()}
    assert stores == ({"default", "work"} if "store" in generation.columns else {"default"})


async def test_a_server_is_a_target_like_any_other(tmp_path: Path) -> None:
    options = ServerOptions((server_url(),), MODEL, alias=alias(tmp_path))
    to = Target("server", "Qdrant", QdrantServerStorage(options), MODEL)
    path, checkpoint = source(tmp_path / "s.db"), tmp_path / "c.json"
    try:
        with pytest.raises(MigrationStoppedError):
            await migrate(path, to, checkpoint, stopping=Stopping(4))
        done = Checkpoint.load(checkpoint).migrated_count
        assert 0 < done < 250
        to = Target("server", "Qdrant", QdrantServerStorage(options), MODEL)
        report = await migrate(path, to, checkpoint, resume=True)
        assert report.succeeded
        assert (report.migrated, report.verified, report.this_run) == (250, 250, 250 - done)
        there = await content(Target("server", "Qdrant", QdrantServerStorage(options), MODEL))
        assert {memory.content for memory, _ in there.values()} == {row.content for row in rows(250)}
    finally:
        await drop_collection(options)


async def test_nothing_is_dropped_silently(tmp_path: Path) -> None:
    made = [
        *rows(30),
        OriginalRow("Deleted", None, other={"deleted_at": 1_700_000_000.0}),
        OriginalRow("Old version", unit_vector(1, DIMENSIONS), other={"superseded_by": original_hash("new")}),
        OriginalRow("Waits for its embedding", None, other={"embedding_pending": 1}),
        OriginalRow(" ", unit_vector(2, DIMENSIONS)),
        OriginalRow("Odd", EMBEDDER._vector("Odd"), metadata="not json", tags="A,b", other={"version": 4}),
    ]
    edge = Edge(original_hash("Odd"), original_hash(made[0].content), "causes")
    path = build(tmp_path / "sqlite_vec.db", Generation.V12_4, made, edges=[edge], dimensions=DIMENSIONS)
    with open_original(path) as connection:
        connection.execute("INSERT INTO beliefs (belief_hash, content) VALUES ('a', 'b')")
    embedder = HashEmbedder(DIMENSIONS)

    report = await migrate(path, sqlite_target(tmp_path / "t.db"), tmp_path / "c.json", embedder=embedder)
    report.write(tmp_path / "report.json")

    assert report.completed
    assert report.shortfall == f"INCOMPLETE: 1 of 33 memories of {path} could not be taken."
    assert (report.migrated, report.reembedded, report.unreadable_count) == (32, 1, 1)
    assert report.not_migrated == {"deleted": 1, "superseded": 1, "without a text": 1, "beliefs": 1}
    assert "Waits for its embedding" in embedder.embedded
    for note in (Note.TAGS_NORMALISED, Note.METADATA_AS_TEXT, Note.FIELDS_KEPT, Note.GRAPH_KEPT, Note.NO_VECTOR):
        assert report.notes[note.value] >= 1
    found = await content(sqlite_target(tmp_path / "t.db"))
    kept = found[original_hash("Odd")][0].metadata[IMPORTED_KEY]
    assert (kept["metadata"], kept["tags"], kept["version"]) == ("not json", "A,b", 4)
    assert [one["relationship_type"] for one in kept["graph"]] == ["causes"]
    assert not {original_hash("Deleted"), original_hash("Old version")} & set(found)
    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert document["left_in_source"] == report.not_migrated
    assert document["unreadable"] == {original_hash(" "): "its content is empty"}
    assert document["completed"] is True
    assert document["memories_per_second"] > 0


async def test_stores_stay_apart(tmp_path: Path) -> None:
    to = sqlite_target(tmp_path / "t.db")
    await migrate(source(tmp_path / "s.db", 50), to, tmp_path / "c.json")
    await to.storage.initialize()
    assert await to.storage.count(MemoryFilter(store="default")) == 45
    assert await to.storage.count(MemoryFilter(store="work")) == 5
    await to.storage.close()


async def test_an_export_and_a_qdrant_client_folder_come_over_by_the_same_command(tmp_path: Path) -> None:
    items = [
        {
            "content": row.content,
            "content_hash": original_hash(row.content),
            "tags": ["x"],
            "created_at": 1.0,
            "embedding": row.vector.tolist(),
        }
        for row in rows(40)
    ]
    export = tmp_path / "export.json"
    export.write_text(json.dumps({"export_metadata": {}, "memories": items}), encoding="utf-8")
    progress = Recorder()

    report = await migrate(export, sqlite_target(tmp_path / "t.db"), tmp_path / "c.json", progress=progress)

    assert report.succeeded
    assert report.migrated == 40
    assert progress.said[0] == "Starting migration from the JSON export to sqlite-vec"


# Resume


class Stopping:
    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


async def test_a_stopped_migration_goes_on_where_it_was(tmp_path: Path) -> None:
    path, checkpoint = source(tmp_path / "s.db"), tmp_path / "c.json"
    with pytest.raises(MigrationStoppedError) as stopped:
        await migrate(path, sqlite_target(tmp_path / "t.db"), checkpoint, stopping=Stopping(3))
    half = Checkpoint.load(checkpoint)
    done = half.migrated_count
    # Behind the third batch; what is under way by then is brought to its end.
    assert 20 * 3 <= done <= 20 * (3 + PIPELINED - 1)
    assert stopped.value.message.startswith(f"Stopped after {done} of 250 memories.")
    assert (half.cursor, half.completed) == (done, False)
    assert half.last_successful_hash == original_hash(rows(done)[-1].content)
    assert len(await content(sqlite_target(tmp_path / "t.db"))) == done
    progress = Recorder()

    report = await migrate(path, sqlite_target(tmp_path / "t.db"), checkpoint, resume=True, progress=progress)

    assert progress.said[0] == "Resuming migration from SQLite to sqlite-vec"
    assert (report.migrated, report.verified, report.this_run, report.succeeded) == (250, 250, 250 - done, True)
    await migrate(path, sqlite_target(tmp_path / "whole.db"), tmp_path / "other.json")
    assert await content(sqlite_target(tmp_path / "t.db")) == await content(sqlite_target(tmp_path / "whole.db"))


async def test_a_stop_does_not_wait_for_texts_that_are_not_being_embedded_yet(tmp_path: Path) -> None:
    class Slow(HashEmbedder):
        async def embed_documents(self, texts: Sequence[str]) -> np.ndarray:
            await asyncio.sleep(0.05)  # the model is what takes the time: batches wait for their turn
            return await super().embed_documents(texts)

    slow = Slow(MODEL.dimensions)
    path, checkpoint = source(tmp_path / "s.db"), tmp_path / "c.json"
    with pytest.raises(MigrationStoppedError):
        await migrate(
            path, sqlite_target(tmp_path / "t.db"), checkpoint, embedder=slow, reembed=True, stopping=Stopping(1)
        )
    stopped = Checkpoint.load(checkpoint)
    assert len(slow.embedded) == stopped.migrated_count == stopped.cursor
    assert stopped.migrated_count <= 20 * 3, "one is stored, one compared, one embedded; others haven't begun"
    report = await migrate(path, sqlite_target(tmp_path / "t.db"), checkpoint, embedder=slow, reembed=True, resume=True)
    assert (report.migrated, report.verified, len(slow.embedded)) == (250, 250, 250)


async def test_resuming_a_complete_migration_changes_nothing(tmp_path: Path) -> None:
    path, checkpoint = source(tmp_path / "s.db", 40), tmp_path / "c.json"
    await migrate(path, sqlite_target(tmp_path / "t.db"), checkpoint)
    before = await content(sqlite_target(tmp_path / "t.db"))

    report = await migrate(path, sqlite_target(tmp_path / "t.db"), checkpoint, resume=True)

    assert (report.migrated, report.this_run) == (40, 0)
    assert await content(sqlite_target(tmp_path / "t.db")) == before


class Refusing(SqliteVecStorage):
    """Takes everything but texts with a certain word."""

    word = "music"

    async def upsert(
        self, memories: Sequence[EmbeddedMemory], *, mode: UpsertMode = UpsertMode.REPLACE
    ) -> list[UpsertOutcome]:
        if any(self.word in item.memory.content for item in memories):
            raise StorageError("payload refused")
        return await super().upsert(memories, mode=mode)


async def test_what_fails_is_named_and_retried_by_resume(tmp_path: Path) -> None:
    path, checkpoint = source(tmp_path / "s.db", 60), tmp_path / "c.json"
    refusing = target(tmp_path / "t.db", Refusing(SqliteVecOptions(tmp_path / "t.db", MODEL)))
    progress = Recorder()

    report = await migrate(path, refusing, checkpoint, progress=progress)

    bad = [original_hash(row.content) for row in rows(60) if "music" in row.content]
    assert not report.succeeded
    assert (report.migrated, report.failed_count) == (45, 15)
    assert progress.problems[0] == f"{bad[0]}: store failed: payload refused"
    assert "Migration incomplete: 45/60 (75%)" in progress.said
    assert Checkpoint.load(checkpoint).failed_hashes == bad

    again = await migrate(path, sqlite_target(tmp_path / "t.db"), checkpoint, resume=True)

    assert again.succeeded
    assert (again.migrated, again.failed_count, again.this_run) == (60, 0, 15)
    assert set(bad) <= set(await content(sqlite_target(tmp_path / "t.db")))


class Changing(SqliteVecStorage):
    """A target that doesn't keep what it is given."""

    async def get_embedded(self, hashes: Sequence[str]) -> dict[str, EmbeddedMemory]:
        found = await super().get_embedded(hashes)
        for item in found.values():
            if "garden" in item.memory.content:
                object.__setattr__(item.memory, "content", item.memory.content.upper())
                object.__setattr__(item, "vector", np.roll(item.vector, 1))
        return found


@pytest.mark.parametrize(
    ("options", "verified", "errors"),
    [
        ({"validation": Validation.DURING}, 30, 20),
        ({"validation": Validation.SAMPLE, "sample_size": 1_000}, 30, 20),
        ({"validation": Validation.NONE}, 0, 0),
    ],
    ids=["during", "sample", "none"],
)
async def test_validation_reports_every_difference_and_the_run_goes_on(
    tmp_path: Path, options: dict[str, object], verified: int, errors: int
) -> None:
    to = target(tmp_path / "t.db", Changing(SqliteVecOptions(tmp_path / "t.db", MODEL)))
    progress = Recorder()

    report = await migrate(source(tmp_path / "s.db", 40), to, tmp_path / "c.json", progress=progress, **options)

    assert (report.verified, report.validation_errors) == (verified, errors)
    assert report.succeeded is not bool(errors)
    fields = {failure.field for failure in report.failures}
    assert fields == ({"content", "embedding"} if errors else set())
    if errors:
        assert f"Validation: {verified} memories verified, {errors} errors" in progress.said
        assert any(problem.startswith(original_hash(rows(2)[1].content)) for problem in progress.problems)
        assert any("MEMORY 1 ABOUT" in failure.found for failure in report.failures)


async def test_a_sample_is_drawn_from_the_whole_source(tmp_path: Path) -> None:
    report = await migrate(
        source(tmp_path / "s.db"),
        sqlite_target(tmp_path / "t.db"),
        tmp_path / "c.json",
        validation=Validation.SAMPLE,
        sample_size=25,
    )

    assert (report.verified, report.migrated) == (25, 250)


# Refusals


async def test_source_and_target_in_one_place_are_refused(tmp_path: Path) -> None:
    path = source(tmp_path / "s.db", 5)
    before = path.read_bytes()
    for place in (path, tmp_path):
        with pytest.raises(MigrationRefusedError, match="same place"):
            await migrate(path, sqlite_target(place), tmp_path / "c.json")
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with pytest.raises(MigrationRefusedError, match="same place"):
        await migrate(link, sqlite_target(path), tmp_path / "c.json")
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link.db", "s.db"]  # noqa: ASYNC240


async def test_a_target_with_other_memories_is_refused_unless_merged(tmp_path: Path) -> None:
    await migrate(source(tmp_path / "one.db", 30), sqlite_target(tmp_path / "t.db"), tmp_path / "c1.json")
    different = [OriginalRow(rows(1)[0].content, EMBEDDER._vector("x"), tags="newer"), *rows(20, start=100)]
    two = build(tmp_path / "two.db", Generation.V8_7, different, dimensions=DIMENSIONS)
    with pytest.raises(MigrationRefusedError, match=r"holds 30 memories already(.|\n)*--resume(.|\n)*--merge"):
        await migrate(two, sqlite_target(tmp_path / "t.db"), tmp_path / "c2.json")

    report = await migrate(two, sqlite_target(tmp_path / "t.db"), tmp_path / "c2.json", merge=True)

    assert report.succeeded
    assert (report.migrated, report.existed, report.verified) == (21, 1, 20)
    found = await content(sqlite_target(tmp_path / "t.db"))
    assert len(found) == 50
    assert found[original_hash(rows(1)[0].content)][0].tags == ("work", "home")


async def test_a_checkpoint_of_an_emptied_target_is_refused(tmp_path: Path) -> None:
    path, checkpoint = source(tmp_path / "s.db", 40), tmp_path / "c.json"
    await migrate(path, sqlite_target(tmp_path / "t.db"), checkpoint)
    (tmp_path / "t.db").unlink()

    with pytest.raises(MigrationRefusedError, match="which holds 0: it was emptied"):
        await migrate(path, sqlite_target(tmp_path / "t.db"), checkpoint, resume=True)


async def test_a_target_of_another_model_is_refused(tmp_path: Path) -> None:
    await migrate(source(tmp_path / "s.db", 5), sqlite_target(tmp_path / "t.db"), tmp_path / "c.json")
    other = ModelIdentity("e5-small", DIMENSIONS, "ee" * 8)
    to = Target("t", "sqlite-vec", SqliteVecStorage(SqliteVecOptions(tmp_path / "t.db", other)), other)

    with pytest.raises(ModelChangedError):
        await migrate(source(tmp_path / "s2.db", 5), to, tmp_path / "c2.json", merge=True, reembed=True)


@pytest.mark.parametrize("kind", ["dimension", "recorded", "sampled"])
async def test_vectors_of_another_model_are_recognised_and_the_choice_is_spelled_out(tmp_path: Path, kind: str) -> None:
    dimensions = 64 if kind == "dimension" else DIMENSIONS
    made = [OriginalRow(row.content, unit_vector(number, dimensions)) for number, row in enumerate(rows(30))]
    path = build(tmp_path / "s.db", Generation.V12_4, made, dimensions=dimensions)
    if kind == "recorded":
        with open_original(path) as connection:
            connection.execute("INSERT INTO metadata VALUES ('embedding_model', 'intfloat/e5-small')")
    embedder = HashEmbedder(DIMENSIONS)

    with pytest.raises(MigrationRefusedError, match="--reembed") as caught:
        await migrate(path, sqlite_target(tmp_path / "t.db"), tmp_path / "c.json", embedder=embedder)
    expected = {"dimension": "64 dimensions", "recorded": "intfloat/e5-small", "sampled": "another model (cosine"}[kind]
    assert expected in caught.value.message
    assert "MCP_EMBEDDING_MODEL" in caught.value.message
    assert not (tmp_path / "t.db").exists()

    report = await migrate(path, sqlite_target(tmp_path / "t.db"), tmp_path / "c.json", embedder=embedder, reembed=True)

    assert report.succeeded
    assert (report.migrated, report.reembedded) == (30, 30)
    found = await content(sqlite_target(tmp_path / "t.db"))
    hash_ = original_hash(made[7].content)
    np.testing.assert_allclose(np.frombuffer(found[hash_][1], np.float32), EMBEDDER._vector(made[7].content), atol=1e-6)


async def test_a_checkpoint_that_cannot_be_written_is_told_before_anything_is_moved(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    to = sqlite_target(tmp_path / "t.db")
    with pytest.raises(MigrationRefusedError, match="can't be written"):
        await migrate(source(tmp_path / "s.db", 5), to, tmp_path / "file" / "c.json")
    assert await content(sqlite_target(tmp_path / "t.db")) == {}


# What ends a run


class Vanishing(SqliteVecStorage):
    calls = 0

    async def upsert(
        self, memories: Sequence[EmbeddedMemory], *, mode: UpsertMode = UpsertMode.REPLACE
    ) -> list[UpsertOutcome]:
        self.calls += 1
        if self.calls == 4:
            raise StorageUnavailableError("Qdrant doesn't answer")
        return await super().upsert(memories, mode=mode)


async def test_a_target_that_vanishes_ends_the_run_with_a_checkpoint_to_go_on_from(tmp_path: Path) -> None:
    path, checkpoint = source(tmp_path / "s.db"), tmp_path / "c.json"
    vanishing = target(tmp_path / "t.db", Vanishing(SqliteVecOptions(tmp_path / "t.db", MODEL)))
    with pytest.raises(StorageUnavailableError):
        await migrate(path, vanishing, checkpoint)
    assert Checkpoint.load(checkpoint).migrated_count == 60

    report = await migrate(
        path, target(tmp_path / "t.db", sqlite_target(tmp_path / "t.db").storage), checkpoint, resume=True
    )

    assert report.succeeded
    assert (report.migrated, report.failed_count) == (250, 0)


class Failing(HashEmbedder):
    """Can't take one text, or any."""

    def __init__(self, everything: bool) -> None:
        super().__init__(DIMENSIONS)
        self._everything = everything

    async def embed_documents(self, texts: Sequence[str]) -> np.ndarray:
        if self._everything or any("Memory 3 " in text for text in texts):
            raise EmbeddingError("the endpoint says no")
        return await super().embed_documents(texts)


async def test_a_text_that_cannot_be_embedded_fails_alone_and_a_dead_model_ends_the_run(tmp_path: Path) -> None:
    made = [OriginalRow(row.content, None) for row in rows(30)]
    path = build(tmp_path / "s.db", Generation.V8_7, made, dimensions=DIMENSIONS)

    report = await migrate(path, sqlite_target(tmp_path / "a.db"), tmp_path / "a.json", embedder=Failing(False))
    assert (report.migrated, report.failed_count) == (29, 1)
    assert [failure.content_hash for failure in report.failures] == [original_hash(made[3].content)]

    with pytest.raises(EmbeddingError, match="the endpoint says no"):
        await migrate(path, sqlite_target(tmp_path / "b.db"), tmp_path / "b.json", embedder=Failing(True))
    assert Checkpoint.load(tmp_path / "b.json").failed_hashes == []


async def test_vectors_that_nobody_promised_are_kept_if_they_prove_equal_and_made_anew_if_not(tmp_path: Path) -> None:
    name, texts = "fast-all-minilm-l6-v2", [f"A document about topic {number}" for number in range(20)]
    for folder, right in (("equal", True), ("other", False)):
        client = QdrantClient(path=str(tmp_path / folder))
        size = models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)
        client.create_collection("notes", vectors_config={name: size})
        vectors = [vector_of(text if right else text[::-1] + " zzz") for text in texts]
        client.upsert(
            "notes",
            [
                models.PointStruct(id=uuid4().hex, vector={name: vector.tolist()}, payload={"document": text})
                for text, vector in zip(texts, vectors, strict=True)
            ],
        )
        client.close()
        progress = Recorder()
        report = await migrate(
            tmp_path / folder, sqlite_target(tmp_path / f"{folder}.db"), tmp_path / f"{folder}.json", progress=progress
        )
        assert report.succeeded
        assert (report.migrated, report.reembedded) == (20, 0 if right else 20)
        assert any("every text is embedded anew" in line for line in progress.said) is not right
        assert any("mcp-server-qdrant" in line for line in progress.said)
        held = await content(sqlite_target(tmp_path / f"{folder}.db"))
        assert {memory.content for memory, _ in held.values()} == set(texts)


async def test_an_empty_database_is_a_finished_migration(tmp_path: Path) -> None:
    progress = Recorder()
    report = await migrate(
        build(tmp_path / "s.db", Generation.V5, dimensions=DIMENSIONS),
        sqlite_target(tmp_path / "t.db"),
        tmp_path / "c.json",
        progress=progress,
    )

    assert report.succeeded
    assert progress.said[-2:] == ["Migration complete! 0/0 (100%)", "Validation: 0 memories verified, 0 errors"]
    await sqlite_target(tmp_path / "t.db").storage.close()
    assert EVERYTHING.empty
