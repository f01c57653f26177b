"""Databases of every generation are read whole, by column name, with what has no home kept."""

from __future__ import annotations

import json
from pathlib import Path

import apsw
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_memory.domain.checks import check_metadata
from mcp_memory.domain.foreign_notes import IMPORTED_KEY, Note
from mcp_memory.migration.sources.base import Selection, SourceError, SourceMemory, SourceReport
from mcp_memory.migration.sources.fingerprint import fingerprint
from mcp_memory.migration.sources.sqlite import SqliteSource
from original_databases import (
    Edge,
    Generation,
    OriginalRow,
    build,
    open_original,
    ordinary_rows,
    original_hash,
    unit_vector,
)


def read_all(path: Path, *, select: Selection | None = None, after: int = 0, batch_size: int = 7) -> list[SourceMemory]:
    with SqliteSource(path) as source:
        batches = source.read(after=after, batch_size=batch_size, select=select or Selection())
        return [item for batch in batches for item in batch.memories]


def inspect(path: Path) -> SourceReport:
    with SqliteSource(path) as source:
        return source.inspect()


def read_one(path: Path, row: OriginalRow, generation: Generation = Generation.V12_4) -> SourceMemory:
    (found,) = read_all(build(path, generation, [row]))
    return found


@pytest.mark.parametrize("generation", list(Generation), ids=lambda generation: generation.name)
def test_every_generation_gives_every_memory_with_its_vector(tmp_path: Path, generation: Generation) -> None:
    rows = ordinary_rows(60)
    path = build(tmp_path / "sqlite_vec.db", generation, rows)

    found = read_all(path)

    assert [item.memory.content for item in found] == [row.content for row in rows]
    assert [item.memory.content_hash for item in found] == [original_hash(row.content) for row in rows]
    assert [item.memory.created_at for item in found] == [row.created_at for row in rows]
    assert [item.memory.updated_at for item in found] == [row.updated_at for row in rows]
    assert [item.memory.memory_type for item in found] == [row.memory_type for row in rows]
    assert [dict(item.memory.metadata) for item in found] == [json.loads(row.metadata or "") for row in rows]
    assert [",".join(item.memory.tags) for item in found] == [row.tags for row in rows]
    assert {item.memory.store for item in found} == {"default"}
    for item, row in zip(found, rows, strict=True):
        np.testing.assert_array_equal(item.vector, row.vector)
    assert not any(item.notes for item in found)


@pytest.mark.parametrize("generation", list(Generation), ids=lambda generation: generation.name)
def test_the_report_tells_generation_dimension_and_distance(tmp_path: Path, generation: Generation) -> None:
    path = build(tmp_path / "sqlite_vec.db", generation, ordinary_rows(5, dimensions=96), dimensions=96)
    report = inspect(path)

    assert (report.fingerprint, report.private_copy) == (fingerprint(path), False)
    assert report.columns == generation.columns
    assert report.schema.startswith(f"{len(generation.columns)} columns")
    assert report.dimensions == 96
    assert report.distance == ("cosine" if generation.value.cosine else "l2")
    assert (report.total, report.live, report.without_embedding) == (5, 5, 0)
    assert report.stores == {"default": 5}


def test_reading_goes_on_behind_a_cursor(tmp_path: Path) -> None:
    path = build(tmp_path / "sqlite_vec.db", Generation.V12_4, ordinary_rows(50))
    whole = read_all(path)

    rest = read_all(path, after=whole[19].cursor)

    assert [item.memory.content_hash for item in rest] == [item.memory.content_hash for item in whole[20:]]


def test_tombstones_and_superseded_versions_are_counted_and_left_out(tmp_path: Path) -> None:
    rows = [
        OriginalRow("live", unit_vector(1)),
        OriginalRow("deleted", None, other={"deleted_at": 1_700_000_100.0}),
        OriginalRow("old version", unit_vector(2), other={"superseded_by": original_hash("live")}),
        OriginalRow("deleted and superseded", None, other={"deleted_at": 1.0, "superseded_by": "x"}),
    ]
    path = build(tmp_path / "sqlite_vec.db", Generation.V12_4, rows)

    report = inspect(path)

    assert (report.total, report.live, report.tombstones, report.superseded) == (4, 1, 2, 1)
    assert [item.memory.content for item in read_all(path)] == ["live"]
    assert [item.memory.content for item in read_all(path, select=Selection(superseded=True))] == [
        "live",
        "old version",
    ]
    everything = read_all(path, select=Selection(tombstones=True, superseded=True))
    assert [item.memory.content for item in everything] == [row.content for row in rows]
    assert everything[1].memory.metadata[IMPORTED_KEY] == {"deleted_at": 1_700_000_100.0}


def test_stores_keep_their_names_across_partitions(tmp_path: Path) -> None:
    rows = [OriginalRow(f"memory {n}", unit_vector(n), store=("default", "work", "Privat")[n % 3]) for n in range(30)]
    path = build(tmp_path / "sqlite_vec.db", Generation.V12_4, rows)

    found = read_all(path)

    assert [item.memory.store for item in found] == [row.store for row in rows]
    for item, row in zip(found, rows, strict=True):
        np.testing.assert_array_equal(item.vector, row.vector)
    assert inspect(path).stores == {"Privat": 10, "default": 10, "work": 10}


def test_vectors_of_many_chunks_meet_their_rows_after_deletions_and_out_of_order(tmp_path: Path) -> None:
    """2,600 rows are three chunks of 1,024; slots are freed, and a late vector lands far from its row's neighbours."""
    rows = [OriginalRow(f"memory {n}", unit_vector(n, 8)) for n in range(2_600)]
    path = build(tmp_path / "sqlite_vec.db", Generation.V12_4, rows, dimensions=8)
    with open_original(path) as connection:
        connection.execute("DELETE FROM memory_embeddings WHERE rowid % 7 = 0")
        connection.execute("DELETE FROM memories WHERE id % 14 = 0")
        connection.execute("DELETE FROM memory_embeddings WHERE rowid = 3")
        connection.execute(
            "INSERT INTO memory_embeddings (rowid, content_embedding, store) VALUES (3, ?, 'default')",
            (np.full(8, 0.5, dtype="<f4").tobytes(),),
        )

    found = read_all(path, batch_size=500)

    assert len(found) == 2_600 - 2_600 // 14
    for item in found:
        number = int(item.memory.content.split()[1])
        if number == 2:
            np.testing.assert_array_equal(item.vector, np.full(8, 0.5, dtype=np.float32))
        elif (number + 1) % 7 == 0:
            assert item.vector is None
            assert item.notes == (Note.NO_VECTOR,)
        else:
            np.testing.assert_array_equal(item.vector, unit_vector(number, 8))
    assert inspect(path).without_embedding == sum(1 for item in found if item.vector is None)


def test_rows_without_a_usable_embedding_are_told_apart(tmp_path: Path) -> None:
    rows = [
        OriginalRow("none", None),
        OriginalRow("pending", unit_vector(1), other={"embedding_pending": 1}),
        OriginalRow("not finite", np.full(384, np.nan, dtype=np.float32)),
        OriginalRow("good", unit_vector(2)),
    ]
    path = build(tmp_path / "sqlite_vec.db", Generation.V12_4, rows)
    with open_original(path) as connection:  # cosine refuses zeros in queries only
        connection.execute("INSERT INTO memories (content_hash, content) VALUES ('z', 'zero')")
        connection.execute(
            "INSERT INTO memory_embeddings (rowid, content_embedding, store) VALUES (last_insert_rowid(), ?, 'default')",
            (bytes(384 * 4),),
        )

    notes = {item.memory.content: (item.vector is None, item.notes[-1:]) for item in read_all(path)}

    assert notes["none"] == (True, (Note.NO_VECTOR,))
    assert notes["pending"] == (True, (Note.NO_VECTOR,))
    assert notes["not finite"] == (True, (Note.VECTOR_UNUSABLE,))
    assert notes["zero"] == (True, (Note.VECTOR_UNUSABLE,))
    assert notes["good"] == (False, ())
    assert inspect(path).without_embedding == 2


def test_an_upgrade_interrupted_before_the_vector_table_was_made_again_keeps_its_vectors(tmp_path: Path) -> None:
    path = build(tmp_path / "sqlite_vec.db", Generation.V12_4_INTERRUPTED, ordinary_rows(4))
    with open_original(path) as connection:
        connection.execute("DROP TABLE memory_embeddings")

    assert [item.vector is not None for item in read_all(path)] == [True] * 4
    report = inspect(path)
    assert (report.dimensions, report.distance, report.without_embedding) == (384, "cosine", 0)


def test_a_database_without_any_vector_table_gives_its_texts(tmp_path: Path) -> None:
    path = build(tmp_path / "sqlite_vec.db", Generation.V8_66, ordinary_rows(4))
    with open_original(path) as connection:
        connection.execute("DROP TABLE memory_embeddings")

    report = inspect(path)

    assert (report.dimensions, report.without_embedding) == (None, 4)
    assert [item.vector for item in read_all(path)] == [None] * 4


def test_old_hashes_are_kept_verbatim(tmp_path: Path) -> None:
    hash_ = original_hash('text{"a": 1}')
    found = read_one(tmp_path / "s.db", OriginalRow("Text", unit_vector(1), content_hash=hash_), Generation.V5)

    assert found.memory.content_hash == hash_
    assert found.notes == (Note.HASH_KEPT,)


@pytest.mark.parametrize(
    ("stored", "tags", "kept"),
    [
        (None, (), None),
        ("", (), None),
        ("untagged", ("untagged",), None),
        ("a,b c,ü", ("a", "b c", "ü"), None),
        (" Work, work ,HOME,", ("work", "home"), " Work, work ,HOME,"),
        ('["Work", "Home"]', ("work", "home"), '["Work", "Home"]'),
        ("good,ba\x01d", ("good",), "good,ba\x01d"),
    ],
)
def test_tags_are_normalised_with_the_original_spelling_kept(
    tmp_path: Path, stored: str | None, tags: tuple[str, ...], kept: str | None
) -> None:
    memory = read_one(tmp_path / "s.db", OriginalRow("text", unit_vector(1), tags=stored)).memory

    assert memory.tags == tags
    assert memory.metadata.get(IMPORTED_KEY, {}).get("tags") == kept


DEEP = "[" * 40 + "1" + "]" * 40


@pytest.mark.parametrize(
    ("stored", "usable"),
    [
        ("not json", {}),
        ("[1, 2]", {}),
        ('"text"', {}),
        ('{"a": 1, "big": 1180591620717411303424}', {"a": 1}),
        ('{"a": 1, "n": NaN, "i": -Infinity, "e": 1e999}', {"a": 1}),
        ('{"a": 1, "deep": ' + DEEP + "}", {"a": 1}),
        ('{"a": 1, "lone": "\\ud800"}', {"a": 1}),
        ("[" * 100_000, {}),
    ],
    ids=["not JSON", "array", "string", "2**70", "not finite", "deep", "surrogate", "very deep"],
)
def test_metadata_that_breaks_a_rule_is_kept_as_text(tmp_path: Path, stored: str, usable: dict[str, object]) -> None:
    found = read_one(tmp_path / "s.db", OriginalRow("text", unit_vector(1), metadata=stored))

    assert found.memory.metadata == {**usable, IMPORTED_KEY: {"metadata": stored}}
    assert found.notes == (Note.METADATA_AS_TEXT,)


@pytest.mark.parametrize("stored", [None, "", "{}", "null"])
def test_metadata_that_says_nothing_is_an_empty_object(tmp_path: Path, stored: str | None) -> None:
    memory = read_one(tmp_path / "s.db", OriginalRow("text", unit_vector(1), metadata=stored)).memory

    assert {key: value for key, value in memory.metadata.items() if key != IMPORTED_KEY} == {}


def test_fields_without_a_home_and_graph_edges_are_kept_in_metadata(tmp_path: Path) -> None:
    first, second, gone = (original_hash(text) for text in ("first", "second", "gone"))
    rows = [
        OriginalRow(
            "first",
            unit_vector(1),
            metadata='{"quality_score": 0.8}',
            other={
                "parent_id": second,
                "version": 3,
                "confidence": 0.5,
                "last_accessed": 1_700_000_500,
                "added_by_somebody": "x",
            },
        ),
        OriginalRow("second", unit_vector(2), other={"version": 1, "confidence": 1.0}),
    ]
    edges = [Edge(first, second, "causes", 0.75), Edge(first, gone, "related", 0.5), Edge(gone, first)]
    path = build(tmp_path / "s.db", Generation.V12_4_FROM_5, rows, edges=edges)

    one, two = read_all(path)

    kept = one.memory.metadata[IMPORTED_KEY]
    assert one.memory.metadata["quality_score"] == 0.8
    assert {name: kept[name] for name in ("parent_id", "version", "confidence", "last_accessed")} == {
        "parent_id": second,
        "version": 3,
        "confidence": 0.5,
        "last_accessed": 1_700_000_500,
    }
    assert kept["added_by_somebody"] == "x"
    assert sorted(
        (edge["target_hash"], edge["relationship_type"], edge["similarity"]) for edge in kept["graph"]
    ) == sorted([(second, "causes", 0.75), (gone, "related", 0.5)])
    assert one.notes == (Note.FIELDS_KEPT, Note.GRAPH_KEPT)
    assert dict(two.memory.metadata) == {}
    assert inspect(path).left_behind == {"graph edges of no live memory": 1}


def test_tables_whose_rows_belong_to_no_memory_are_counted(tmp_path: Path) -> None:
    path = build(tmp_path / "s.db", Generation.V12_4)
    with open_original(path) as connection:
        connection.execute("INSERT INTO beliefs (belief_hash, content) VALUES ('a', 'b')")
        connection.execute(
            "INSERT INTO sync_events (agent_id, event_id, embedding_model) VALUES ('a', 'b', 'e5-small')"
        )

    report = inspect(path)

    assert report.left_behind == {"beliefs": 1, "sync_events": 1}
    assert report.model == "e5-small"


@pytest.mark.parametrize(
    ("other", "times", "note"),
    [
        ({}, (1_700_000_000.5, 1_700_000_000.5), None),
        ({"created_at_iso": "2023-11-14T23:13:20.500Z"}, (1_700_000_000.5, 1_700_000_000.5), Note.TIME_DISAGREES),
        ({"created_at_iso": "2020-01-01T00:00:00Z"}, (1_700_000_000.5, 1_700_000_000.5), Note.TIME_DISAGREES),
        ({"created_at_iso": "rubbish"}, (1_700_000_000.5, 1_700_000_000.5), Note.TIME_DISAGREES),
        ({"created_at_iso": None, "updated_at_iso": None}, (1_700_000_000.5, 1_700_000_000.5), None),
        ({"updated_at": None, "updated_at_iso": None}, (1_700_000_000.5, 1_700_000_000.5), Note.TIME_MISSING),
        ({"created_at": None}, (1_700_000_000.5, 1_700_000_000.5), None),
        ({"created_at": 1_700_000_000_500.0}, (1_700_000_000.5, 1_700_000_000.5), Note.TIME_REPAIRED),
        ({"created_at": -5.0}, (1_700_000_000.5, 1_700_000_000.5), Note.TIME_REPAIRED),
        ({"created_at": "2023-11-14T22:13:20.5Z"}, (1_700_000_000.5, 1_700_000_000.5), Note.TIME_REPAIRED),
        ({"created_at": float("inf")}, (1_700_000_000.5, 1_700_000_000.5), Note.TIME_REPAIRED),
    ],
)
def test_the_number_is_authoritative_and_missing_times_are_filled_in(
    tmp_path: Path, other: dict[str, object], times: tuple[float, float], note: Note | None
) -> None:
    found = read_one(tmp_path / "s.db", OriginalRow("text", unit_vector(1), other=other))

    assert (found.memory.created_at, found.memory.updated_at) == times
    assert found.notes == (() if note is None else (note,))
    if note in (Note.TIME_DISAGREES, Note.TIME_REPAIRED):
        (name,) = found.memory.metadata[IMPORTED_KEY]
        assert str(found.memory.metadata[IMPORTED_KEY][name]) == str(other[name])


def test_a_row_without_any_time_gets_that_of_the_database(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("created_at", "updated_at", "created_at_iso", "updated_at_iso"))
    path = tmp_path / "s.db"

    found = read_one(path, OriginalRow("text", unit_vector(1), other=nothing))

    assert found.memory.created_at == found.memory.updated_at == path.stat().st_mtime_ns / 1e9
    assert found.notes == (Note.TIME_MISSING,)


@pytest.mark.parametrize(
    ("stored", "memory_type", "kept"),
    [(None, None, None), ("", None, None), ("Decision ", "decision", "Decision "), ("x" * 200, None, "x" * 200)],
)
def test_memory_types_are_normalised_with_the_original_kept(
    tmp_path: Path, stored: str | None, memory_type: str | None, kept: str | None
) -> None:
    memory = read_one(tmp_path / "s.db", OriginalRow("text", unit_vector(1), memory_type=stored)).memory

    assert memory.memory_type == memory_type
    assert memory.metadata.get(IMPORTED_KEY, {}).get("memory_type") == kept


@pytest.mark.parametrize(
    ("stored", "store"), [("all", "imported-all"), (" work ", "work"), ("", "default"), ("w" * 128, "w" * 128)]
)
def test_store_names_that_break_a_rule_are_told_apart(tmp_path: Path, stored: str, store: str) -> None:
    memory = read_one(tmp_path / "s.db", OriginalRow("text", unit_vector(1), store=stored)).memory

    assert memory.store == store
    assert memory.metadata.get(IMPORTED_KEY, {}).get("store", store) == (
        stored if store != stored and stored else store
    )


@pytest.mark.parametrize(
    "text", ["a\0b", "😀 emoji", "שלום مرحبا \u202e", "\ufeffbom", "e\u0301", "x" * 1_048_576, " kept blanks \n"]
)
def test_content_is_kept_to_the_byte(tmp_path: Path, text: str) -> None:
    assert read_one(tmp_path / "s.db", OriginalRow(text, unit_vector(1))).memory.content == text


def test_content_that_is_no_utf8_is_repaired_with_its_bytes_kept(tmp_path: Path) -> None:
    path = build(tmp_path / "s.db", Generation.V12_4)
    with open_original(path) as connection:
        connection.execute("INSERT INTO memories (content_hash, content) VALUES ('h', CAST(x'61ff62' AS TEXT))")

    (found,) = read_all(path)

    assert found.memory.content == "a\ufffdb"
    assert found.memory.metadata[IMPORTED_KEY] == {"content": {"base64": "Yf9i"}}
    assert found.notes[0] is Note.TEXT_REPAIRED


def test_a_row_without_text_is_reported_and_the_others_are_read(tmp_path: Path) -> None:
    rows = [OriginalRow("one", unit_vector(1)), OriginalRow(" \n", unit_vector(2)), OriginalRow("two", unit_vector(3))]
    path = build(tmp_path / "s.db", Generation.V12_4, rows)
    with SqliteSource(path) as source:
        (batch,) = source.read()

    assert [item.memory.content for item in batch.memories] == ["one", "two"]
    assert [(row.cursor, row.reason) for row in batch.unreadable] == [(2, "its content is empty")]
    assert batch.cursor == 3


def test_a_foreign_or_damaged_database_is_refused_by_name(tmp_path: Path) -> None:
    foreign, other, broken = tmp_path / "foreign.db", tmp_path / "other.db", tmp_path / "broken.db"
    apsw.Connection(str(foreign)).execute("CREATE TABLE t (x)")
    apsw.Connection(str(other)).execute("CREATE TABLE memories (x)")
    whole = build(tmp_path / "whole.db", Generation.V8_7, ordinary_rows(200)).read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(SourceError, match="no table `memories`"), SqliteSource(foreign):
        pass
    with pytest.raises(SourceError, match="of another kind"), SqliteSource(other):
        pass
    with pytest.raises(SourceError, match=r"broken\.db can't be read"):
        read_all(broken)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            TEXTS,
            st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
            JSON.map(json.dumps) | TEXTS | st.none(),
            st.none()
            | st.floats(allow_nan=False)
            | st.integers(-(2**62), 2**62)
            | st.text("0123456789-:T.Z", max_size=20),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda row: original_hash(row[0]),
    )
)
def test_whatever_a_database_holds_becomes_memories_that_pass_the_checks(
    tmp_path: Path, contents: list[tuple[str, str | None, str | None, object]]
) -> None:
    path = tmp_path / "random.db"
    path.unlink(missing_ok=True)
    rows = [
        OriginalRow(text, unit_vector(1, 8), tags=tags, metadata=metadata, other={"created_at": created})
        for text, tags, metadata, created in contents
    ]
    build(path, Generation.V12_4, rows, dimensions=8)

    found = read_all(path)

    assert [item.memory.content for item in found] == [row.content for row in rows]
    for item, row in zip(found, rows, strict=True):
        memory = item.memory
        check_metadata(memory.metadata, imported=True)
        assert 0 <= memory.created_at <= 253_402_300_799
        if ",".join(memory.tags) != (row.tags or ""):
            assert memory.metadata[IMPORTED_KEY]["tags"] == row.tags
        if Note.METADATA_AS_TEXT in item.notes:
            assert memory.metadata[IMPORTED_KEY]["metadata"] == row.metadata
        else:
            usual = {key: value for key, value in memory.metadata.items() if key != IMPORTED_KEY}
            assert usual == (json.loads(row.metadata) if row.metadata else {})
