"""A path is recognised as the source it is, or the error says what is there instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_memory.migration.sources.base import SourceError
from mcp_memory.migration.sources.detect import source_at
from mcp_memory.migration.sources.json_export import JsonExportSource
from mcp_memory.migration.sources.qdrant_local import QdrantLocalSource
from mcp_memory.migration.sources.sqlite import SqliteSource
from original_databases import Generation, build


def test_each_kind_of_source_is_recognised(tmp_path: Path) -> None:
    database = build(tmp_path / "sqlite_vec.db", Generation.V5)
    export = tmp_path / "export.json"
    export.write_bytes(b'\xef\xbb\xbf {"memories": []}')
    (tmp_path / "qdrant").mkdir()
    (tmp_path / "qdrant/meta.json").write_text("{}", encoding="utf-8")

    assert isinstance(source_at(database), SqliteSource)
    assert isinstance(source_at(export), JsonExportSource)
    assert isinstance(source_at(tmp_path / "qdrant"), QdrantLocalSource)
    for path in (database, export, tmp_path / "qdrant"):
        assert source_at(path).path == path


def test_anything_else_is_refused_with_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    build(tmp_path / "sqlite_vec.db", Generation.V5)

    for path, message in (
        (tmp_path / "nowhere.db", "There is nothing at"),
        (tmp_path / "empty.db", "is empty"),
        (tmp_path / "notes.txt", "neither an SQLite database nor JSON"),
        (tmp_path / "empty", r"is a folder without meta\.json\. A source is"),
        (tmp_path, "It holds empty.db, sqlite_vec.db: name the file"),
    ):
        with pytest.raises(SourceError, match=message):
            source_at(path)
