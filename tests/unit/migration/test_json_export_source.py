"""The original's JSON export is read as a stream, whatever its size and the order of its members."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_memory.domain.foreign_notes import IMPORTED_KEY, Note
from mcp_memory.migration.sources import json_stream
from mcp_memory.migration.sources.base import (
    BATCH_BYTES,
    SourceChangedError,
    SourceError,
    SourceKind,
    SourceMemory,
    SourceReport,
    Unreadable,
)
from mcp_memory.migration.sources.fingerprint import fingerprint
from mcp_memory.migration.sources.json_export import JsonExportSource, as_vector
from mcp_memory.migration.sources.json_stream import Element, JsonFormatError, JsonStream, Member
from original_databases import original_hash, unit_vector


def exported(number: int, **other: Any) -> dict[str, Any]:
    content = f'Memory number {number} with \\ and " and ü'
    return {
        "content": content,
        "content_hash": original_hash(content),
        "tags": ["work", "export"],
        "created_at": 1_700_000_000.25 + number,
        "updated_at": 1_700_000_001.25 + number,
        "memory_type": "note",
        "metadata": {"number": number},
        "store": "default",
        "export_source": "laptop",
        **other,
    }


def write(path: Path, memories: list[Any], *, last: bool = True) -> Path:
    parts: dict[str, Any] = {"memories": memories}
    about = {"export_metadata": {"total_memories": len(memories), "exporter_version": "5.0.1"}}
    path.write_text(json.dumps({**about, **parts} if last else {**parts, **about}), encoding="utf-8")
    return path


def read_all(path: Path, after: int = 0) -> list[SourceMemory]:
    with JsonExportSource(path) as source:
        return [item for batch in source.read(after=after, batch_size=7) for item in batch.memories]


@pytest.mark.parametrize("last", [True, False], ids=["metadata first", "memories first"])
def test_every_memory_of_an_export_is_read_in_order(tmp_path: Path, last: bool) -> None:
    items = [exported(number, embedding=unit_vector(number).tolist()) for number in range(20)]
    path = write(tmp_path / "export.json", items, last=last)

    found = read_all(path)

    assert [item.memory.content for item in found] == [item["content"] for item in items]
    assert found[3].memory.tags == ("work", "export")
    assert (found[3].memory.created_at, found[3].memory.updated_at) == (1_700_000_003.25, 1_700_000_004.25)
    assert found[3].memory.metadata == {"number": 3, IMPORTED_KEY: {"export_source": "laptop"}}
    for number, item in enumerate(found):
        np.testing.assert_array_equal(item.vector, unit_vector(number))
    assert [item.cursor for item in read_all(path, after=15)] == [16, 17, 18, 19, 20]


def test_the_report_counts_stores_and_embeddings(tmp_path: Path) -> None:
    items = [exported(0, embedding=[0.1] * 8), exported(1, store="work"), exported(2, embedding=[0.1] * 8)]
    path = write(tmp_path / "export.json", items)
    with JsonExportSource(path) as source:
        report = source.inspect()

    assert report == SourceReport(
        kind=SourceKind.JSON_EXPORT,
        path=path,
        schema="JSON export of the original service",
        columns=(*exported(0), "embedding"),
        dimensions=8,
        distance=None,
        model=None,
        total=3,
        live=3,
        tombstones=0,
        superseded=0,
        without_embedding=1,
        stores={"default": 2, "work": 1},
        fingerprint=fingerprint(path),
    )


@pytest.mark.parametrize("value", [None, [], [0.0, 0.0], [[1.0, 2.0]], [1.0, math.nan], [math.inf], ["x"], 5.0, "text"])
def test_what_is_no_vector_is_none(value: object) -> None:
    assert as_vector(value) is None


def test_a_vector_is_float32_of_any_size() -> None:
    for numbers in ([2.0], [0.5, 1.5]):
        vector = as_vector(numbers)
        assert vector is not None
        assert (vector.tolist(), vector.dtype) == (numbers, np.float32)


def test_an_export_of_nothing_is_an_export(tmp_path: Path) -> None:
    assert read_all(write(tmp_path / "export.json", [])) == []


def test_an_export_without_embeddings_says_no_size(tmp_path: Path) -> None:
    with JsonExportSource(write(tmp_path / "export.json", [exported(0), exported(1, embedding=None)])) as source:
        report = source.inspect()
        (batch,) = source.read()

    assert (report.dimensions, report.without_embedding) == (None, 2)
    assert [Note.NO_VECTOR in item.notes for item in batch.memories] == [True, True]
    assert [Note.VECTOR_UNUSABLE in item.notes for item in batch.memories] == [False, False]


def test_every_field_of_an_item_arrives(tmp_path: Path) -> None:
    times = {"created_at": None, "created_at_iso": "2023-11-14T22:13:20Z", "updated_at_iso": "2023-11-14T22:13:21Z"}
    items = [
        exported(0, **times, updated_at=None, memory_type="Decision", store="work", content_hash="theirs", summary=""),
        {"content": "only a text"},
    ]
    path = write(tmp_path / "export.json", items)

    whole, bare = (item.memory for item in read_all(path))

    assert (whole.content_hash, whole.memory_type, whole.store) == ("theirs", "decision", "work")
    assert (whole.created_at, whole.updated_at) == (1_700_000_000.0, 1_700_000_001.0)
    assert whole.metadata[IMPORTED_KEY] == {"memory_type": "Decision", "export_source": "laptop"}
    assert (bare.memory_type, bare.store, bare.metadata) == (None, "default", {})
    assert bare.created_at == bare.updated_at == pytest.approx(path.stat().st_mtime)


def test_a_batch_ends_at_its_size_or_with_long_texts_and_knows_where(tmp_path: Path) -> None:
    long = "x" * (BATCH_BYTES // 2)
    items = [
        {"content": "", "content_hash": "named"},
        exported(1),
        7,
        exported(3, content=long),
        exported(4, content=long + "y"),
        exported(5),
    ]
    with JsonExportSource(write(tmp_path / "export.json", items)) as source:
        by_count, by_size, last = source.read(batch_size=3)

    assert by_count.unreadable == (
        Unreadable("named", 1, "its content is empty"),
        Unreadable("", 3, "it is no JSON object"),
    )
    assert [[item.cursor for item in batch.memories] for batch in (by_count, by_size, last)] == [[2], [4, 5], [6]]
    assert [batch.cursor for batch in (by_count, by_size, last)] == [3, 5, 6]
    assert (by_size.unreadable, last.unreadable) == ((), ())


def test_items_that_are_no_memories_are_reported_and_odd_values_kept(tmp_path: Path) -> None:
    items = [7, {"content": ""}, exported(1, content="lone \ud800", embedding=["x"], tags="A, b", metadata=["x"])]
    with JsonExportSource(write(tmp_path / "export.json", items)) as source:
        (batch,) = source.read()

    assert [row.reason for row in batch.unreadable] == ["it is no JSON object", "its content is empty"]
    (item,) = batch.memories
    assert item.memory.content == "lone \ufffd"
    kept = item.memory.metadata[IMPORTED_KEY]
    assert kept["content"] == {"json": '"lone \\ud800"'}
    assert kept["tags"] == "A, b"
    assert kept["metadata"] == '["x"]'
    assert set(item.notes) >= {Note.TEXT_REPAIRED, Note.TAGS_NORMALISED, Note.METADATA_AS_TEXT, Note.VECTOR_UNUSABLE}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"content": "one"}\n{"content": "two"}', 'no array "memories"'),
        ("{}", 'no array "memories"'),
        ('{"memories": [{"content": "cut', "not a JSON export"),
        ('{"memories": [1 2]}', "was expected, found '2'"),
    ],
)
def test_what_is_no_export_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(SourceError, match=message) as caught:
        read_all(path)
    assert "other.json" in str(caught.value)


def test_an_export_that_changes_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "export.json", [exported(number) for number in range(20)])

    def read_and_change() -> None:
        with JsonExportSource(path) as source:
            for _ in source.read(batch_size=5):
                path.write_bytes(path.read_bytes() + b" ")

    with pytest.raises(SourceChangedError):
        read_and_change()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


@given(before=st.dictionaries(st.text(max_size=5), JSON, max_size=3), elements=st.lists(JSON), reach=st.integers(1, 9))
def test_a_stream_gives_what_reading_the_whole_text_gives(
    before: dict[str, Any], elements: list[Any], reach: int
) -> None:
    before.pop("memories", None)
    text = json.dumps({**before, "memories": elements, "": 1}, indent=1)
    original, json_stream._READ = json_stream._READ, reach
    try:
        parts = list(JsonStream(io.StringIO(text), "memories"))
    finally:
        json_stream._READ = original

    assert [part.value for part in parts if isinstance(part, Element)] == elements
    assert {part.name: part.value for part in parts if isinstance(part, Member)} == {**before, "": 1}


class Pieces(io.StringIO):
    """A file that is only ever read in pieces."""

    def read(self, characters: int | None = None) -> str:
        assert characters is not None
        assert 0 < characters <= 64
        return super().read(characters)


def test_a_stream_is_read_in_pieces_no_larger_than_a_value_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_READ", 8)
    text = json.dumps({"memories": [{"content": "x" * 20}] * 50})
    assert len(list(JsonStream(Pieces(text), "memories"))) == 50


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^'\{' was expected, the text ends$"),
        ('{"a" 1}', r"^':' was expected, found '1'$"),
        ('{"a": 1', r"^',' or '\}' was expected, the text ends$"),
        ('{"memories": [1', r"^',' or '\]' was expected, the text ends$"),
        ("{5: 1}", r"^a member's name was expected$"),
        ('{"a": ' + "[" * 100_000, r"^a value is nested too deeply$"),
    ],
)
def test_what_is_no_json_object_is_told_by_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(JsonFormatError, match=message):
        list(JsonStream(io.StringIO(text), "memories"))


def backup(number: int, **metadata: Any) -> dict[str, Any]:
    """As scripts/backup/backup_memories.py of the Chroma years wrote one."""
    flat = {"content_hash": f"{number:064x}", "type": "note", "timestamp": 1_700_000_000 + number, **metadata}
    return {"id": f"chroma-{number}", "document": f"An older memory, {number}", "metadata": flat, "embedding": None}


def test_an_older_backup_of_documents_is_read_with_tags_type_time_and_hash(tmp_path: Path) -> None:
    items = [
        backup(1, tags="['Boiler', 'house']", timestamp_float=1_700_000_001.5, room="cellar"),
        backup(2, tags='["a", "b"]', created_at=5.5, updated_at=6.5),
        {"id": "chroma-3", "document": "No metadata", "metadata": None},
        {"id": "chroma-4", "document": None, "metadata": {}},
    ]
    path = tmp_path / "memory_backup.json"
    path.write_text(json.dumps({"timestamp": "2025-01-01", "total_memories": 4, "memories": items}))
    with JsonExportSource(path) as source:
        assert "older JSON backup" in source.inspect().schema
        (batch,) = source.read(batch_size=7)
    first, second, third = (item.memory for item in batch.memories)
    assert (first.content, first.content_hash) == ("An older memory, 1", f"{1:064x}")
    assert (first.tags, first.memory_type, first.created_at) == (("boiler", "house"), "note", 1_700_000_001.5)
    assert first.metadata["room"] == "cellar"
    assert (second.tags, second.created_at, second.updated_at) == (("a", "b"), 5.5, 6.5)
    assert third.content_hash == "chroma-3"
    assert [row.reason for row in batch.unreadable] == ["its content is empty"]
