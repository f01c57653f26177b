"""The tables: the original's, as its release 12.4 takes them, and an index of ours beside them.

In a database that is there, of whichever release, nothing of the original's is altered: it goes on opening it. What its tables
have no room for (revisions, BM25 weights, point ids) and what older ones lack (stores) stands in tables whose names begin with
`mcp_`, which it ignores. They can be dropped: opening builds them again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import apsw

from mcp_memory.domain.errors import ModelChangedError, StorageFormatError
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.storage.analysis import VERSION as TERMS_VERSION

INDEX_VERSION = 1
# As 12.4 makes them, but for what its numbered migrations add when it opens the database: they fail on what is there already.
_ORIGINAL = """
CREATE TABLE memories (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    content_hash TEXT UNIQUE NOT NULL,
    content TEXT NOT NULL,
    tags TEXT,
    memory_type TEXT,
    metadata TEXT,
    created_at REAL,
    updated_at REAL,
    created_at_iso TEXT,
    updated_at_iso TEXT,
    deleted_at REAL DEFAULT NULL,
    store TEXT DEFAULT 'default',
    parent_id TEXT,
    version INTEGER DEFAULT 1,
    confidence REAL DEFAULT 1.0,
    last_accessed INTEGER,
    superseded_by TEXT
);
CREATE INDEX idx_content_hash ON memories(content_hash);
CREATE INDEX idx_created_at ON memories(created_at);
CREATE INDEX idx_memory_type ON memories(memory_type);
CREATE INDEX idx_deleted_at ON memories(deleted_at);
CREATE VIRTUAL TABLE memory_content_fts USING fts5(content, content='memories', content_rowid='id', tokenize='trigram');
CREATE TRIGGER memories_fts_ai AFTER INSERT ON memories BEGIN
    INSERT INTO memory_content_fts(rowid, content) VALUES (new.id, new.content);
END;
CREATE TRIGGER memories_fts_au AFTER UPDATE ON memories BEGIN
    DELETE FROM memory_content_fts WHERE rowid = old.id;
    INSERT INTO memory_content_fts(rowid, content) VALUES (new.id, new.content);
END;
CREATE TRIGGER memories_fts_ad AFTER DELETE ON memories BEGIN
    DELETE FROM memory_content_fts WHERE rowid = old.id;
END;
CREATE TABLE memory_graph (
    source_hash TEXT NOT NULL,
    target_hash TEXT NOT NULL,
    similarity REAL NOT NULL,
    connection_types TEXT NOT NULL,
    metadata TEXT,
    created_at REAL NOT NULL,
    relationship_type TEXT DEFAULT 'related',
    PRIMARY KEY (source_hash, target_hash)
);
CREATE INDEX idx_graph_source ON memory_graph(source_hash);
CREATE INDEX idx_graph_target ON memory_graph(target_hash);
CREATE INDEX idx_graph_relationship ON memory_graph(relationship_type);
CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO metadata VALUES ('distance_metric', 'cosine'), ('fts5_enabled', 'true');
"""
_VECTORS = """
CREATE VIRTUAL TABLE memory_embeddings USING vec0(
    content_embedding FLOAT[{dimensions}] distance_metric=cosine,
    store TEXT partition key
);
"""
_INDEX = """
CREATE TABLE mcp_state (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE mcp_points (
    id INTEGER PRIMARY KEY,              -- memories.id; only memories that are neither tombstones nor superseded
    point_id TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    created_at REAL NOT NULL,
    memory_type TEXT,
    store TEXT NOT NULL,
    revision INTEGER NOT NULL,
    ours INTEGER NOT NULL,               -- 1: this service wrote the row as it stands
    seen_tags, seen_type, seen_store, seen_created   -- the row's own values when it was read: what tells a later change
);
CREATE UNIQUE INDEX mcp_points_id ON mcp_points(point_id);
CREATE INDEX mcp_points_newest ON mcp_points(created_at DESC, point_id);
CREATE TABLE mcp_tags (tag TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (tag, id)) WITHOUT ROWID;
CREATE INDEX mcp_tags_of ON mcp_tags(id);
CREATE TABLE mcp_terms (term INTEGER NOT NULL, id INTEGER NOT NULL, weight REAL NOT NULL, PRIMARY KEY (term, id)) WITHOUT ROWID;
CREATE INDEX mcp_terms_of ON mcp_terms(id);
"""
_SUPERSEDED = """
CREATE TABLE IF NOT EXISTS mcp_superseded (id INTEGER PRIMARY KEY, superseded_by TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS mcp_superseded_by ON mcp_superseded(superseded_by);
"""
"""Indexed memories that a newer one of ours superseded. Beside the index since 0.2: older releases go on without it."""
_DIMENSIONS = re.compile(r"float\s*\[\s*(\d+)\s*\]", re.IGNORECASE)
_PARTITION = re.compile(r"partition\s+key", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the original's tables have, in this database."""

    columns: frozenset[str]
    partitioned: bool
    graph: bool


def recognise(connection: apsw.Connection, path: Path, model: ModelIdentity) -> None:
    """Changes nothing. Raises StorageFormatError for a database that isn't the original's, or isn't whole.

    Raises ModelChangedError for one of another model.
    """
    tables = _tables(connection)
    if not tables:
        return
    if "memories" not in tables:
        raise StorageFormatError(
            f"{path} is an SQLite database of something else (tables: {', '.join(sorted(tables)[:5])}). It is left as it is.\n"
            "Set MCP_MEMORY_SQLITE_PATH to another file."
        )
    missing = {"content", "content_hash", "tags", "memory_type", "metadata", "created_at", "updated_at"} - _columns(
        connection
    )
    if missing:
        raise StorageFormatError(
            f"{path} has a table `memories` of another kind (without {', '.join(sorted(missing))}). It is left as it is.\n"
            "Set MCP_MEMORY_SQLITE_PATH to another file."
        )
    if "memory_embeddings_migration_backup" in tables:
        raise StorageFormatError(
            f"{path} is in the middle of an upgrade by the original service, which was interrupted. Start that once to finish "
            f"it, or bring the memories into Qdrant as they are:\n  memory migrate sqlite --source {path}"
        )
    _check_index(connection, tables, path)
    _check_model(connection, tables, model)


def prepare(connection: apsw.Connection, model: ModelIdentity) -> Layout:
    """Create what is missing, within the caller's transaction; `recognise` has passed."""
    if not _tables(connection):
        connection.execute(_ORIGINAL)
    if "memory_embeddings" not in _tables(connection):
        connection.execute(_VECTORS.format(dimensions=model.dimensions))
    if _index_version(connection, _tables(connection)) != INDEX_VERSION:
        for table in ("mcp_state", "mcp_points", "mcp_tags", "mcp_terms", "mcp_superseded"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(_INDEX)
        connection.execute(
            "INSERT INTO mcp_state VALUES ('index_version', ?), ('revision', 0), ('terms', ?)",
            (INDEX_VERSION, TERMS_VERSION),
        )
    connection.execute(_SUPERSEDED)
    # The original records no model: the one that first opens its database with the right dimension is taken at its word.
    connection.executemany(
        "INSERT OR REPLACE INTO mcp_state VALUES (?, ?)",
        [("model_name", model.name), ("model_fingerprint", model.fingerprint)],
    )
    return Layout(
        columns=_columns(connection),
        partitioned=bool(_PARTITION.search(_vector_declaration(connection))),
        graph="memory_graph" in _tables(connection),
    )


def _columns(connection: apsw.Connection) -> frozenset[str]:
    return frozenset(str(row[1]) for row in connection.execute("PRAGMA table_info(memories)"))


def _vector_declaration(connection: apsw.Connection) -> str:
    row = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'memory_embeddings'").fetchone()
    return str(row[0]) if row else ""


def _tables(connection: apsw.Connection) -> set[str]:
    return {
        str(name)
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
    }


def _check_model(connection: apsw.Connection, tables: set[str], model: ModelIdentity) -> None:
    found = _DIMENSIONS.search(_vector_declaration(connection))
    dimensions = int(found[1]) if found else model.dimensions
    known: dict[str, object] = {}
    if "mcp_state" in tables:
        known = {str(key): value for key, value in connection.execute("SELECT key, value FROM mcp_state")}
    if dimensions == model.dimensions and known.get("model_fingerprint", model.fingerprint) == model.fingerprint:
        return
    raise ModelChangedError(
        old_model=str(known.get("model_name") or f"a-model-of-{dimensions}-dimensions"),
        new_model=model.name,
        old_dimensions=dimensions,
        new_dimensions=model.dimensions,
        old_fingerprint=str(known.get("model_fingerprint") or ""),
    )


def _index_version(connection: apsw.Connection, tables: set[str]) -> int | None:
    if "mcp_state" not in tables:
        return None
    row = connection.execute("SELECT value FROM mcp_state WHERE key = 'index_version'").fetchone()
    return row[0] if row and isinstance(row[0], int) else None


def _check_index(connection: apsw.Connection, tables: set[str], path: Path) -> None:
    version = _index_version(connection, tables)
    if version is not None and version > INDEX_VERSION:
        raise StorageFormatError(
            f"The index in {path} was made by a newer version of this service (format {version}, this one knows "
            f"{INDEX_VERSION}).\nUse that version, or a copy of the database."
        )
