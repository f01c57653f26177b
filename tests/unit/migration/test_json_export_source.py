"""The original's JSON export is read as a stream, whatever its size and the order of its members."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_memory.domain.foreign_notes import IMPORTED_KEY, Note
from mcp_memory.migration.sources import json_stream
from mcp_memory.migration.sources.base import SourceChangedError, SourceError, SourceMemory
from mcp_memory.migration.sources.json_export import JsonExportSource
from mcp_memory.migration.sources.json_stream import Element, JsonStream, Member
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
    with JsonExportSource(write(tmp_path / "export.json", items)) as source:
        report = source.inspect()

    assert (report.total, report.live, report.dimensions, report.without_embedding) == (3, 3, 8, 1)
    assert report.stores == {"default": 2, "work": 1}
    assert report.fingerprint.size == (tmp_path / "export.json").stat().st_size


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
