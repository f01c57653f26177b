"""Which generation of the original's schema a database has, by what is there; nothing is assumed from a version number."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from mcp_memory.migration.sources.base import SourceError

MEMORIES = "memories"
VECTORS = "memory_embeddings"
BACKUP = "memory_embeddings_migration_backup"
"""Left by an upgrade that was interrupted: the vectors that aren't back in the vector table yet."""
GRAPH = "memory_graph"
WITHOUT_A_HOME = ("beliefs", "sync_events")
"""Tables whose rows belong to no memory; they stay in the source and are counted."""

_COLUMN = re.compile(r"(?P<name>\w+)\s+float\s*\[\s*(?P<dimensions>\d+)\s*\]", re.IGNORECASE)
_METRIC = re.compile(r"distance_metric\s*=\s*(?P<metric>\w+)", re.IGNORECASE)
_GENERATIONS = (
    ("embedding_pending", "releases after 10.59, up to 12.x"),
    ("store", "releases after 10.59"),
    ("parent_id", "releases 10.30 to 10.59"),
    ("deleted_at", "releases 8.64 to 10.29"),
)


@dataclass(frozen=True, slots=True)
class VectorTable:
    """What the declaration of the vec0 table says."""

    dimensions: int
    distance: str


@dataclass(frozen=True, slots=True)
class Schema:
    columns: tuple[str, ...]
    tables: frozenset[str]
    vectors: VectorTable | None
    """None where the database holds no float vectors."""
    chunks: bool
    """Whether the vector table is there; an upgrade that was interrupted may have left the backup alone."""
    backup: bool

    @property
    def description(self) -> str:
        oldest = "releases 8.7 to 8.63" if "metadata" in self.tables else "releases 1.0 to 8.6"
        releases = next((releases for column, releases in _GENERATIONS if column in self.columns), oldest)
        return f"{len(self.columns)} columns ({releases})"

    def live(self, alias: str = "m") -> str:
        """SQL that holds for rows that are neither tombstones nor superseded."""
        return f"NOT {self.tombstone(alias)} AND NOT {self.superseded(alias)}"

    def tombstone(self, alias: str = "m") -> str:
        return f"({alias}.deleted_at IS NOT NULL)" if "deleted_at" in self.columns else "0"

    def superseded(self, alias: str = "m") -> str:
        return f"(coalesce({alias}.superseded_by, '') <> '')" if "superseded_by" in self.columns else "0"

    def pending(self, alias: str = "m") -> str:
        return f"(coalesce({alias}.embedding_pending, 0) <> 0)" if "embedding_pending" in self.columns else "0"


def read_schema(connection: sqlite3.Connection, path: Path) -> Schema:
    """Raises SourceError for a database that isn't the original's."""
    # TEXT arrives as bytes where the connection's text_factory says so.
    declared = {as_text(name): as_text(sql) for name, sql in connection.execute("SELECT name, sql FROM sqlite_master")}
    columns = tuple(as_text(row[1]) for row in connection.execute(f"PRAGMA table_info({MEMORIES})"))
    if not {"content", "content_hash"} <= set(columns):
        what = "has no table `memories`" if not columns else "has a table `memories` of another kind"
        raise SourceError(f"{path} is an SQLite database, but not one of the memory service: it {what}.")
    shadow = {f"{VECTORS}_chunks", f"{VECTORS}_rowids", f"{VECTORS}_vector_chunks00"}
    vectors = _vector_table(declared.get(VECTORS, "")) if shadow <= set(declared) else None
    backup = BACKUP in declared
    return Schema(
        columns=columns,
        tables=frozenset(declared),
        vectors=_backup_table(connection) if vectors is None and backup else vectors,
        chunks=vectors is not None,
        backup=backup,
    )


def _backup_table(connection: sqlite3.Connection) -> VectorTable | None:
    row = connection.execute(f"SELECT length(content_embedding) FROM {BACKUP} LIMIT 1").fetchone()
    return VectorTable(dimensions=row[0] // 4, distance="cosine") if row and row[0] else None


def _vector_table(sql: str) -> VectorTable | None:
    found = _COLUMN.search(sql)
    if found is None:
        return None
    metric = _METRIC.search(sql)
    return VectorTable(dimensions=int(found["dimensions"]), distance=metric["metric"].lower() if metric else "l2")


def as_text(value: object) -> str:
    """A value of SQLite as text; what isn't UTF-8 is replaced. "" for NULL."""
    return value.decode(errors="replace") if isinstance(value, bytes) else "" if value is None else str(value)
