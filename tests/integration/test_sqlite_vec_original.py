"""The sqlite_vec backend opens the original's databases of every release, and leaves them such that the original opens them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import numpy as np
import pytest

from mcp_memory.domain.errors import (
    ModelChangedError,
    StorageBusyError,
    StorageError,
    StorageFormatError,
    StorageFullError,
    StorageUnavailableError,
)
from mcp_memory.domain.memory import EmbeddedMemory, Memory, MemoryChanges, content_hash
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.domain.query import EVERYTHING, MemoryFilter, SearchMode, SearchQuery
from mcp_memory.migration.sources.sqlite import SqliteSource
from mcp_memory.storage.sqlite_vec.backend import SqliteVecStorage
from mcp_memory.storage.sqlite_vec.options import SqliteVecOptions
from original_databases import (
    Edge,
    Generation,
    OriginalRow,
    build,
    insert,
    open_original,
    ordinary_rows,
    original_hash,
    unit_vector,
)

pytestmark = pytest.mark.anyio
MODEL = ModelIdentity("all-MiniLM-L6-v2", 384, "0123456789abcdef")
USABLE = [generation for generation in Generation if not generation.value.backup]


@asynccontextmanager
async def opened(
    path: Path, model: ModelIdentity = MODEL, busy_timeout: float = 15.0
) -> AsyncIterator[SqliteVecStorage]:
    storage = SqliteVecStorage(SqliteVecOptions(path, model, busy_timeout))
    await storage.initialize()
    try:
        yield storage
    finally:
        await storage.close()


def ours(text: str, seed: int = 9_000, **fields: object) -> EmbeddedMemory:
    values = {"created_at": 1_800_000_000.5, "updated_at": 1_800_000_000.5, "tags": ("ours",), "memory_type": "note"}
    memory = Memory(content=text, content_hash=content_hash(text), **{**values, **fields})  # type: ignore[arg-type]
    return EmbeddedMemory(memory, unit_vector(seed))


def declarations(path: Path) -> dict[str, str]:
    """Everything the original declared."""
    with open_original(path) as connection:
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '%mcp\\_%' ESCAPE '\\'"
        ).fetchall()
    return {str(name): str(sql) for name, sql in rows}


def nearest_to_the_original(path: Path, seed: int) -> str:
    """The original's own nearest-neighbour query."""
    with open_original(path) as connection:
        row = connection.execute(
            "SELECT m.content FROM memories m JOIN (SELECT rowid, distance FROM memory_embeddings "
            "WHERE content_embedding MATCH ? AND k = 1) e ON m.id = e.rowid",
            (unit_vector(seed).astype("<f4").tobytes(),),
        ).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("generation", USABLE, ids=lambda generation: generation.name)
async def test_every_generation_answers_by_meaning_words_tags_and_time(tmp_path: Path, generation: Generation) -> None:
    rows = ordinary_rows(60)
    path = build(tmp_path / "sqlite_vec.db", generation, rows)

    async with opened(path) as storage:
        assert await storage.count(EVERYTHING) == 60
        assert await storage.tags(EVERYTHING) == {"deploy": 15, "service": 15, "untagged": 15, "work": 15, "über": 15}
        (near,) = await storage.search(SearchQuery(SearchMode.SEMANTIC, vector=unit_vector(17), limit=1))
        assert (near.memory.content, near.similarity_score) == (rows[17].content, pytest.approx(1.0, abs=1e-6))
        assert len(await storage.search(SearchQuery(SearchMode.KEYWORD, "deployments", limit=100))) == 60
        hits = await storage.search(SearchQuery(SearchMode.EXACT, "NUMBER 23:"))
        assert [hit.memory.content for hit in hits] == [rows[23].content]
        page = await storage.page(MemoryFilter(tags=("über",), created_from=rows[30].created_at), limit=50)
        assert [found.content for found in page.memories] == [
            row.content for row in reversed(rows[30:]) if "über" in (row.tags or "")
        ]
        found = (await storage.get([original_hash(rows[5].content)]))[original_hash(rows[5].content)]
        assert (found.created_at, found.updated_at) == (rows[5].created_at, rows[5].updated_at)
        assert found.metadata == json.loads(rows[5].metadata or "")
        stats = await storage.stats()
        assert (stats.vectors_count, stats.indexed_vectors_count) == (60, 60)


@pytest.mark.parametrize("generation", USABLE, ids=lambda generation: generation.name)
async def test_the_original_finds_what_is_written_here_and_its_tables_are_as_it_made_them(
    tmp_path: Path, generation: Generation
) -> None:
    rows = ordinary_rows(30)
    path = build(tmp_path / "sqlite_vec.db", generation, rows)
    before = declarations(path)

    async with opened(path) as storage:
        await storage.upsert([ours("Written here", metadata={"deep": {"list": [1, None]}}), ours("Goes away", 9_001)])
        await storage.update(original_hash(rows[3].content), MemoryChanges(tags=("changed",), metadata={"late": 1}))
        await storage.delete([content_hash("Goes away"), original_hash(rows[4].content)])

    assert declarations(path) == before
    assert nearest_to_the_original(path, 9_000) == "Written here"
    assert nearest_to_the_original(path, 3) == rows[3].content
    with SqliteSource(path) as source:
        found = {item.memory.content: item.memory for batch in source.read() for item in batch.memories}
    assert len(found) == 30
    assert found["Written here"].tags == ("ours",)
    assert found["Written here"].metadata == {"deep": {"list": [1, None]}}
    assert found[rows[3].content].tags == ("changed",)
    assert found[rows[3].content].metadata["late"] == 1
    if generation.value.fts:
        with open_original(path) as connection:
            hits = connection.execute(
                "SELECT m.content FROM memory_content_fts f JOIN memories m ON m.id = f.rowid "
                "WHERE memory_content_fts MATCH 'ritten'"
            ).fetchall()
        assert hits == [("Written here",)]


async def test_a_new_database_has_the_tables_that_the_original_looks_for(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sqlite_vec.db"
    async with opened(path) as storage:
        await storage.upsert([ours("first", 1, store="work"), ours("second", 2)])

    assert nearest_to_the_original(path, 1) == "first"
    with open_original(path) as connection:
        row = connection.execute(
            "SELECT content_hash, tags, memory_type, metadata, created_at_iso, store FROM memories WHERE content = 'first'"
        ).fetchone()
        assert row == (content_hash("first"), "ours", "note", "{}", "2027-01-15T08:00:00.500000Z", "work")
        assert connection.execute("SELECT partition00 FROM memory_embeddings_chunks ORDER BY 1").fetchall() == [
            ("default",),
            ("work",),
        ]
        assert connection.execute("SELECT value FROM metadata WHERE key = 'distance_metric'").fetchone() == ("cosine",)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_tombstones_and_superseded_versions_are_never_found(tmp_path: Path) -> None:
    rows = [
        OriginalRow("alive", unit_vector(1)),
        OriginalRow("deleted text", None, other={"deleted_at": 1_700_000_100.0}),
        OriginalRow("old version", unit_vector(2), other={"superseded_by": original_hash("alive")}),
    ]
    path = build(tmp_path / "sqlite_vec.db", Generation.V12_4, rows)

    async with opened(path) as storage:
        assert await storage.count(EVERYTHING) == 1
        for mode in SearchMode:
            hits = await storage.search(SearchQuery(mode, "old version deleted text", unit_vector(2)))
            assert {hit.memory.content for hit in hits} <= {"alive"}
        assert [len(batch) async for batch in storage.iterate()] == [1]
        assert await storage.get([original_hash("deleted text")]) == {}
        # The hash of either may be stored again.
        again = [ours("deleted text", 5), ours("old version", 6)]
        assert [str(outcome) for outcome in await storage.upsert(again)] == ["stored", "stored"]
        assert await storage.count(EVERYTHING) == 3


async def test_what_the_original_does_in_between_is_seen_at_the_next_opening(tmp_path: Path) -> None:
    rows = ordinary_rows(20)
    path = build(tmp_path / "sqlite_vec.db", Generation.V12_4, rows)
    async with opened(path) as storage:
        await storage.upsert([ours("written here")])
    with open_original(path) as connection:
        insert(connection, Generation.V12_4, [OriginalRow("written there", unit_vector(500), tags="There")])
        connection.execute("UPDATE memories SET tags = 'Moved, work' WHERE id = 1")
        connection.execute(
            "UPDATE memories SET deleted_at = 1.0 WHERE id = 2; DELETE FROM memory_embeddings WHERE rowid = 2"
        )
        connection.execute("DELETE FROM memories WHERE id = 3; DELETE FROM memory_embeddings WHERE rowid = 3")
        connection.execute("""UPDATE memories SET metadata = '{"count": NaN}' WHERE content = 'written here'""")

    async with opened(path) as storage:
        assert await storage.count(EVERYTHING) == 20
        assert await storage.count(MemoryFilter(tags=("there",))) == 1
        assert (await storage.get([original_hash(rows[0].content)]))[original_hash(rows[0].content)].tags == (
            "moved",
            "work",
        )
        assert await storage.get([original_hash(row.content) for row in rows[1:3]]) == {}
        (hit,) = await storage.search(SearchQuery(SearchMode.HYBRID, "written there", unit_vector(500), limit=1))
        assert hit.memory.content == "written there"
        kept = (await storage.get([content_hash("written here")]))[content_hash("written here")]
        assert kept.metadata == {"_imported": {"metadata": '{"count": NaN}'}}


async def test_rows_that_break_rules_are_read_by_the_rules_of_imports(tmp_path: Path) -> None:
    rows = [
        OriginalRow("Work", unit_vector(1), tags=" Work,HOME", memory_type="Note ", metadata="not json"),
        OriginalRow("waits for its embedding", None, other={"embedding_pending": 1}),
        OriginalRow(" ", unit_vector(2)),
        OriginalRow("old hash", unit_vector(3), content_hash="abc123", other={"created_at": -1.0}),
    ]
    path = build(tmp_path / "sqlite_vec.db", Generation.V12_4, rows)
    with open_original(path) as connection:
        connection.execute("INSERT INTO memories (content_hash, content) VALUES ('bytes', CAST(x'61ff62' AS TEXT))")

    async with opened(path) as storage:
        found = {memory.content: memory for memory in (await storage.page(EVERYTHING, limit=10)).memories}
        assert set(found) == {"Work", "waits for its embedding", "old hash", "a\ufffdb"}
        assert (found["Work"].tags, found["Work"].memory_type) == (("work", "home"), "note")
        assert found["Work"].metadata["_imported"]["metadata"] == "not json"
        assert found["old hash"].content_hash == "abc123"
        assert found["old hash"].created_at == rows[3].created_at
        assert await storage.count(MemoryFilter(tags=("home",), memory_type="note")) == 1
        stats = await storage.stats()
        assert (stats.vectors_count, stats.indexed_vectors_count) == (4, 2)
        hits = await storage.search(SearchQuery(SearchMode.HYBRID, "waits embedding", unit_vector(1)))
        assert {hit.memory.content for hit in hits} >= {"waits for its embedding", "Work"}


async def test_deleting_takes_the_graphs_edges_along(tmp_path: Path) -> None:
    a, b, c = (original_hash(text) for text in "abc")
    rows = [OriginalRow(text, unit_vector(number)) for number, text in enumerate("abc")]
    path = build(tmp_path / "s.db", Generation.V12_4, rows, edges=[Edge(a, b), Edge(b, a), Edge(c, b), Edge(a, c)])

    async with opened(path) as storage:
        await storage.delete([b])

    with open_original(path) as connection:
        assert connection.execute("SELECT source_hash, target_hash FROM memory_graph").fetchall() == [(a, c)]


async def test_another_model_is_refused_with_the_guides_message(tmp_path: Path) -> None:
    path = build(tmp_path / "sqlite_vec.db", Generation.V8_7, ordinary_rows(3))

    with pytest.raises(ModelChangedError, match="Vector dimensions: 384 → 1536"):
        async with opened(path, ModelIdentity("text-embedding-ada-002", 1536, "ff" * 8)):
            pass
    async with opened(path):
        pass
    with pytest.raises(ModelChangedError, match="all-MiniLM-L6-v2 → e5-small"):
        async with opened(path, ModelIdentity("e5-small", 384, "ee" * 8)):
            pass


async def test_what_is_no_database_of_the_service_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    foreign, other, text = tmp_path / "foreign.db", tmp_path / "other.db", tmp_path / "text.db"
    for path, sql in ((foreign, "CREATE TABLE notes (x)"), (other, "CREATE TABLE memories (x)")):
        connection = apsw.Connection(str(path))
        connection.execute(sql)
        connection.close()
    text.write_text("hello " * 100, encoding="utf-8")
    before = {path: path.read_bytes() for path in (foreign, other, text)}

    for path, message in (
        (foreign, r"of something else \(tables: notes\)"),
        (other, "of another kind"),
        (text, "is not an SQLite database"),
    ):
        with pytest.raises(StorageFormatError, match=message):
            async with opened(path):
                pass
    with pytest.raises(StorageError, match="is a folder"):
        async with opened(tmp_path):
            pass
    assert {path: path.read_bytes() for path in before} == before


async def test_an_interrupted_upgrade_and_a_newer_index_are_refused_by_name(tmp_path: Path) -> None:
    interrupted = build(tmp_path / "interrupted.db", Generation.V12_4_INTERRUPTED, ordinary_rows(3))
    newer = build(tmp_path / "newer.db", Generation.V12_4, ordinary_rows(3))
    async with opened(newer):
        pass
    with open_original(newer) as connection:
        connection.execute("UPDATE mcp_state SET value = 99 WHERE key = 'index_version'")

    with pytest.raises(StorageFormatError, match=r"memory migrate sqlite --source .*interrupted\.db"):
        async with opened(interrupted):
            pass
    with pytest.raises(StorageFormatError, match="newer version"):
        async with opened(newer):
            pass


async def test_a_full_disk_is_told_and_reading_goes_on(tmp_path: Path) -> None:
    async with opened(tmp_path / "sqlite_vec.db") as storage:
        await storage.upsert([ours("kept", 1)])
        database = storage._database
        assert database is not None
        (pages,) = database.connection.execute("PRAGMA page_count").fetchone() or (0,)
        database.connection.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StorageFullError, match="MCP_MEMORY_SQLITE_PATH"):
            await storage.upsert([ours("x" * 2_000_000, 2)])
        assert await storage.count(EVERYTHING) == 1
        assert (await storage.health()).healthy
        database.connection.execute("PRAGMA max_page_count=1000000")
        await storage.upsert([ours("x" * 2_000_000, 2)])
        assert await storage.count(EVERYTHING) == 2


async def test_a_writer_elsewhere_is_waited_for_and_then_told(tmp_path: Path) -> None:
    path = tmp_path / "sqlite_vec.db"
    async with opened(path, busy_timeout=0.2) as storage:
        with open_original(path) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageBusyError):
                await storage.upsert([ours("text")])
            assert await storage.count(EVERYTHING) == 0
            other.execute("ROLLBACK")
        await storage.upsert([ours("text")])
    with pytest.raises(StorageUnavailableError, match="closed"):
        await storage.count(EVERYTHING)
    assert not (await storage.health()).healthy


WRITER = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from mcp_memory.domain.memory import MemoryChanges
    from test_sqlite_vec_original import MODEL, opened, ours

    async def main():
        async with opened(Path(sys.argv[1])) as storage:
            number = 0
            while True:
                item = ours(f"{sys.argv[2]} number {number}", number)
                await storage.upsert([item])
                print("stored", item.memory.content_hash, flush=True)
                if number % 5 == 4:
                    print("deleting", item.memory.content_hash, flush=True)
                    await storage.delete([item.memory.content_hash])
                    print("deleted", item.memory.content_hash, flush=True)
                number += 1

    asyncio.run(main())
    """
)


async def test_kill_9_loses_no_acknowledged_write_and_brings_no_deleted_one_back(tmp_path: Path) -> None:
    path = tmp_path / "sqlite_vec.db"
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{here}:{here.parent}"}
    known: dict[str, str] = {}  # the last word about each memory: a kill in "deleting" leaves either outcome
    for run in range(5):
        writer = subprocess.Popen(  # noqa: ASYNC220  (starting it takes no time worth a thread)
            [sys.executable, "-c", WRITER, str(path), f"run {run}"], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert writer.stdout is not None
        lines = [await asyncio.to_thread(writer.stdout.readline) for _ in range(13 + 7 * run)]
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        lines += writer.stdout.read().splitlines()
        writer.stdout.close()
        known |= {hash_: what for what, hash_ in map(str.split, lines)}

    stored = {hash_ for hash_, what in known.items() if what == "stored"}
    deleted = {hash_ for hash_, what in known.items() if what == "deleted"}
    async with opened(path) as storage:
        found = await storage.get_embedded(list(known))
        assert stored <= found.keys()
        assert not deleted & found.keys()
        # At most the one write that was under way at each kill is there unacknowledged.
        assert await storage.count(EVERYTHING) - len(found) <= 5
        assert all(abs(float(np.linalg.norm(item.vector)) - 1) < 1e-5 for item in found.values())


async def test_words_that_an_older_release_did_not_count_are_counted_when_it_is_opened(tmp_path: Path) -> None:
    """Two batches of the sweep: an interruption between them goes on with the second."""
    path = tmp_path / "sqlite_vec.db"
    vector = unit_vector(1)
    async with opened(path) as storage:
        items = [
            Memory(f"東京の会議 {number}", content_hash(f"東京の会議 {number}"), 1.0, 1.0) for number in range(600)
        ]
        await storage.upsert([EmbeddedMemory(item, vector) for item in items])
    query = SearchQuery(SearchMode.KEYWORD, "会議", limit=1_000)
    for after, found in ((None, 600), (500, 100)):
        connection = apsw.Connection(str(path))
        connection.execute("DELETE FROM mcp_terms; UPDATE mcp_state SET value = 1 WHERE key = 'terms'")
        connection.execute("DELETE FROM mcp_state WHERE key = 'terms_after'")
        if after is not None:
            connection.execute("INSERT INTO mcp_state VALUES ('terms_after', ?)", (after,))
        connection.close()
        async with opened(path) as storage:
            assert len(await storage.search(query)) == found
