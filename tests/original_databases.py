"""Databases as releases of the original service made them: each generation from its DDL, vectors in real vec0 tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import sqlite_vec

FIRST_COLUMNS = """
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    content_hash TEXT UNIQUE NOT NULL,
    content TEXT NOT NULL,
    tags TEXT,
    memory_type TEXT,
    metadata TEXT,
    created_at REAL,
    updated_at REAL,
    created_at_iso TEXT,
    updated_at_iso TEXT"""
DELETED = ("deleted_at REAL DEFAULT NULL",)
EVOLUTION = (
    "parent_id TEXT",
    "version INTEGER DEFAULT 1",
    "confidence REAL DEFAULT 1.0",
    "last_accessed INTEGER",
    "superseded_by TEXT",
)
STORE = ("store TEXT DEFAULT 'default'",)
PENDING = ("embedding_pending INTEGER NOT NULL DEFAULT 0",)


@dataclass(frozen=True)
class Shape:
    """What a generation consists of. `later` are the columns after the first ten, in order."""

    later: tuple[str, ...] = ()
    cosine: bool = True
    partitioned: bool = False
    metadata: Mapping[str, str] | None = None
    graph: bool = False
    fts: bool = False
    registry: bool = False
    backup: bool = False
    """An upgrade was interrupted: vectors in the backup table, the vector table still empty."""


V12_METADATA = {"distance_metric": "cosine", "fts5_enabled": "true", "schema_version": "19"}


class Generation(Enum):
    V5 = Shape(cosine=False)
    V8_7 = Shape(metadata={"distance_metric": "cosine"})
    V8_66 = Shape(later=DELETED, metadata={"distance_metric": "cosine"})
    V9_2 = Shape(later=DELETED, metadata={"distance_metric": "cosine"}, graph=True)
    V10_8 = Shape(later=DELETED, metadata={"distance_metric": "cosine", "fts5_enabled": "true"}, graph=True, fts=True)
    V10_59 = Shape(
        later=DELETED + EVOLUTION,
        metadata={"distance_metric": "cosine", "fts5_enabled": "true"},
        graph=True,
        fts=True,
    )
    V12_4 = Shape(
        later=DELETED + STORE + EVOLUTION + PENDING,
        partitioned=True,
        metadata=V12_METADATA,
        graph=True,
        fts=True,
        registry=True,
    )
    V12_4_FROM_10_59 = Shape(
        later=DELETED + EVOLUTION + STORE + PENDING,
        partitioned=True,
        metadata=V12_METADATA,
        graph=True,
        fts=True,
        registry=True,
    )
    V12_4_FROM_5 = Shape(
        later=DELETED + STORE + EVOLUTION + PENDING + ("added_by_somebody TEXT",),
        partitioned=True,
        metadata={"fts5_enabled": "true", "schema_version": "19"},
        graph=True,
        fts=True,
        registry=True,
    )
    V12_4_INTERRUPTED = Shape(
        later=DELETED + STORE + EVOLUTION + PENDING,
        partitioned=True,
        metadata=V12_METADATA,
        graph=True,
        fts=True,
        registry=True,
        backup=True,
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names, in order."""
        first = tuple(line.split()[0] for line in FIRST_COLUMNS.strip().splitlines())
        return first + tuple(column.split()[0] for column in self.value.later)


def original_hash(content: str) -> str:
    return sha256(content.strip().lower().encode()).hexdigest()


def iso_z(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def unit_vector(seed: int, dimensions: int = 384) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(dimensions).astype(np.float32)
    return vector / np.linalg.norm(vector)


@dataclass(frozen=True)
class OriginalRow:
    """A row as the original writes it; `other` sets any column verbatim, `vector` None leaves the embedding out."""

    content: str
    vector: Any = None
    tags: str | None = ""
    memory_type: str | None = "note"
    metadata: str | None = "{}"
    created_at: float = 1_700_000_000.5
    updated_at: float | None = None
    content_hash: str | None = None
    store: str = "default"
    other: Mapping[str, object] = field(default_factory=dict)

    def values(self, columns: Sequence[str]) -> dict[str, object]:
        updated = self.created_at if self.updated_at is None else self.updated_at
        values: dict[str, object] = {
            "content_hash": self.content_hash or original_hash(self.content),
            "content": self.content,
            "tags": self.tags,
            "memory_type": self.memory_type,
            "metadata": self.metadata,
            "created_at": self.created_at,
            "updated_at": updated,
            "created_at_iso": iso_z(self.created_at),
            "updated_at_iso": iso_z(updated),
            "store": self.store,
            **self.other,
        }
        return {name: value for name, value in values.items() if name in columns}


@dataclass(frozen=True)
class Edge:
    source: str
    target: str
    relationship: str = "related"
    similarity: float = 0.9


@contextmanager
def open_original(path: Path) -> Iterator[apsw.Connection]:
    """A connection as the original's, with the extension loaded; closing it checkpoints the -wal away."""
    connection = apsw.Connection(str(path))
    try:
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=5000")
        yield connection
    finally:
        connection.close()


def build(
    path: Path,
    generation: Generation,
    rows: Iterable[OriginalRow] = (),
    *,
    edges: Iterable[Edge] = (),
    dimensions: int = 384,
) -> Path:
    """Create a database of this generation with these rows; it is clean (no -wal) afterwards."""
    with open_original(path) as connection:
        create_schema(connection, generation, dimensions)
        insert(connection, generation, rows)
        for edge in edges:
            connection.execute(
                "INSERT INTO memory_graph (source_hash, target_hash, similarity, connection_types, metadata, created_at, "
                "relationship_type) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (edge.source, edge.target, edge.similarity, '["semantic"]', "{}", 1_700_000_000.0, edge.relationship),
            )
    return path


def create_schema(connection: apsw.Connection, generation: Generation, dimensions: int = 384) -> None:
    shape = generation.value
    later = "".join(f",\n    {column}" for column in shape.later)
    connection.execute(f"CREATE TABLE memories ({FIRST_COLUMNS}{later})")
    for column in ("content_hash", "created_at", "memory_type", "deleted_at"):
        if column in generation.columns:
            connection.execute(f"CREATE INDEX idx_{column} ON memories({column})")
    metric = " distance_metric=cosine" if shape.cosine else ""
    partition = ", store TEXT partition key" if shape.partitioned else ""
    connection.execute(
        f"CREATE VIRTUAL TABLE memory_embeddings USING vec0(content_embedding FLOAT[{dimensions}]{metric}{partition})"
    )
    if shape.backup:
        connection.execute(
            "CREATE TABLE memory_embeddings_migration_backup (rowid INTEGER PRIMARY KEY, content_embedding BLOB)"
        )
    if shape.metadata is not None:
        connection.execute("CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        connection.executemany("INSERT INTO metadata VALUES (?, ?)", list(shape.metadata.items()))
    if shape.graph:
        connection.execute(
            "CREATE TABLE memory_graph (source_hash TEXT NOT NULL, target_hash TEXT NOT NULL, similarity REAL NOT NULL, "
            "connection_types TEXT NOT NULL, metadata TEXT, created_at REAL NOT NULL, "
            "relationship_type TEXT DEFAULT 'related', PRIMARY KEY (source_hash, target_hash))"
        )
    if shape.fts:
        _create_fts(connection)
    if shape.registry:
        connection.execute(
            "CREATE TABLE migration_registry (version INTEGER PRIMARY KEY, name TEXT, filename TEXT, "
            "applied_at TEXT NOT NULL, checksum TEXT)"
        )
        for version in (8, 9, 10, 11, 12, 15, 16, 17, 18, 19):
            connection.execute(
                "INSERT INTO migration_registry VALUES (?, ?, ?, '2026-05-01T00:00:00Z', NULL)",
                (version, f"migration {version}", f"{version:03d}.sql"),
            )
        connection.execute(
            "CREATE TABLE beliefs (id INTEGER PRIMARY KEY, belief_hash TEXT UNIQUE, content TEXT, confidence REAL, "
            "status TEXT, created_at TEXT, updated_at TEXT, derived_from TEXT, contradicted_by TEXT, metadata TEXT)"
        )
        connection.execute(
            "CREATE TABLE sync_events (seq INTEGER PRIMARY KEY AUTOINCREMENT, schema_version INTEGER, agent_id TEXT, "
            "event_id TEXT, op TEXT, content_hash TEXT, payload TEXT, created_at REAL, created_at_iso TEXT, "
            "hlc_physical INTEGER, hlc_logical INTEGER, embedding_model TEXT, embedding_dim INTEGER, "
            "UNIQUE (agent_id, event_id))"
        )


def _create_fts(connection: apsw.Connection) -> None:
    """With the original's own triggers, which leave terms behind (a plain DELETE on an external-content table)."""
    connection.execute(
        "CREATE VIRTUAL TABLE memory_content_fts USING fts5(content, content='memories', content_rowid='id', "
        "tokenize='trigram')"
    )
    connection.execute(
        "CREATE TRIGGER memories_fts_ai AFTER INSERT ON memories BEGIN "
        "INSERT INTO memory_content_fts(rowid, content) VALUES (new.id, new.content); END"
    )
    connection.execute(
        "CREATE TRIGGER memories_fts_au AFTER UPDATE ON memories BEGIN "
        "DELETE FROM memory_content_fts WHERE rowid = old.id; "
        "INSERT INTO memory_content_fts(rowid, content) VALUES (new.id, new.content); END"
    )
    connection.execute(
        "CREATE TRIGGER memories_fts_ad AFTER DELETE ON memories BEGIN "
        "DELETE FROM memory_content_fts WHERE rowid = old.id; END"
    )


def insert(connection: apsw.Connection, generation: Generation, rows: Iterable[OriginalRow]) -> None:
    """Rows and vectors in one transaction."""
    shape = generation.value
    with connection:
        for row in rows:
            values = row.values(generation.columns)
            connection.execute(
                f"INSERT INTO memories ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
                tuple(values.values()),  # type: ignore[arg-type]
            )
            if row.vector is None:
                continue
            rowid = connection.last_insert_rowid()
            blob = np.asarray(row.vector, dtype="<f4").tobytes()
            if shape.backup:
                connection.execute("INSERT INTO memory_embeddings_migration_backup VALUES (?, ?)", (rowid, blob))
            elif shape.partitioned:
                connection.execute(
                    "INSERT INTO memory_embeddings (rowid, content_embedding, store) VALUES (?, ?, ?)",
                    (rowid, blob, row.store),
                )
            else:
                connection.execute(
                    "INSERT INTO memory_embeddings (rowid, content_embedding) VALUES (?, ?)", (rowid, blob)
                )


def ordinary_rows(count: int, *, dimensions: int = 384, start: int = 0) -> list[OriginalRow]:
    """Distinct memories with tags, types, metadata and times that differ."""
    return [
        OriginalRow(
            content=f"Memory number {number}: the deployment of service {number % 7} took {number % 90} minutes.",
            vector=unit_vector(number, dimensions),
            tags=("untagged", "", "deploy,service", "work,über")[number % 4],
            memory_type=("note", "decision", None)[number % 3],
            metadata=json.dumps({"number": number, "source": {"file": f"log-{number % 5}.txt"}}),
            created_at=1_700_000_000.25 + number * 61.5,
            updated_at=1_700_000_900.75 + number * 61.5,
        )
        for number in range(start, start + count)
    ]


def build_large(path: Path, count: int, dimensions: int = 384) -> Path:
    """Many rows in seconds: vectors go straight into the shadow tables, 1,024 a chunk, as vec0 itself lays them out."""
    generator = np.random.default_rng(7)
    with open_original(path) as connection:
        create_schema(connection, Generation.V9_2, dimensions)
        with connection:
            for chunk, start in enumerate(range(0, count, 1024), start=1):
                numbers = range(start, min(start + 1024, count))
                _insert_many(connection, numbers)
                vectors = np.zeros((1024, dimensions), dtype="<f4")
                vectors[: len(numbers)] = generator.standard_normal((len(numbers), dimensions))
                _insert_chunk(connection, chunk, [number + 1 for number in numbers], vectors)
    return path


def _insert_many(connection: apsw.Connection, numbers: range) -> None:
    connection.executemany(
        "INSERT INTO memories (content_hash, content, tags, memory_type, metadata, created_at, updated_at, created_at_iso, "
        "updated_at_iso) VALUES (?, ?, 'deploy,service', 'note', ?, ?, ?, ?, ?)",
        (
            (
                original_hash(
                    content := f"Memory number {number} about service {number % 90}. " + "More text follows. " * 12
                ),
                content,
                f'{{"number": {number}}}',
                1.7e9 + number,
                1.7e9 + number,
                iso_z(1.7e9 + number),
                iso_z(1.7e9 + number),
            )
            for number in numbers
        ),
    )


def _insert_chunk(connection: apsw.Connection, chunk: int, rowids: Sequence[int], vectors: np.ndarray) -> None:
    used = np.zeros(1024, dtype=np.uint8)
    used[: len(rowids)] = 1
    slots = np.zeros(1024, dtype="<i8")
    slots[: len(rowids)] = rowids
    connection.execute(
        "INSERT INTO memory_embeddings_chunks (chunk_id, size, validity, rowids) VALUES (?, 1024, ?, ?)",
        (chunk, np.packbits(used, bitorder="little").tobytes(), slots.tobytes()),
    )
    connection.execute(
        "INSERT INTO memory_embeddings_vector_chunks00 (rowid, vectors) VALUES (?, ?)", (chunk, vectors.tobytes())
    )
    connection.executemany(
        "INSERT INTO memory_embeddings_rowids (rowid, chunk_id, chunk_offset) VALUES (?, ?, ?)",
        ((rowid, chunk, slot) for slot, rowid in enumerate(rowids)),
    )
