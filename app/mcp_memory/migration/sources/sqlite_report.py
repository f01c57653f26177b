"""What a database of the original service holds, counted by SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.migration.sources.base import SourceKind, SourceReport
from mcp_memory.migration.sources.snapshot import Snapshot
from mcp_memory.migration.sources.sqlite_schema import BACKUP, GRAPH, MEMORIES, VECTORS, WITHOUT_A_HOME, Schema, as_text


def report(path: Path, snapshot: Snapshot, schema: Schema) -> SourceReport:
    """Raises sqlite3.Error for a damaged database."""
    count = _Counter(snapshot.connection, schema)
    live = schema.live()
    return SourceReport(
        kind=SourceKind.SQLITE,
        path=path,
        schema=schema.description,
        columns=schema.columns,
        dimensions=schema.vectors.dimensions if schema.vectors else None,
        distance=schema.vectors.distance if schema.vectors else None,
        model=count.model(),
        total=count.memories("1"),
        live=count.memories(live),
        tombstones=count.memories(schema.tombstone()),
        superseded=count.memories(f"NOT {schema.tombstone()} AND {schema.superseded()}"),
        without_embedding=count.memories(f"{live} AND {count.without_vector()}"),
        stores=count.stores(),
        fingerprint=snapshot.fingerprint,
        left_behind=count.left_behind(),
        private_copy=snapshot.private_copy,
    )


class _Counter:
    def __init__(self, connection: sqlite3.Connection, schema: Schema) -> None:
        self._connection = connection
        self._schema = schema

    def memories(self, condition: str) -> int:
        return self._number(f"SELECT count(*) FROM {MEMORIES} m WHERE {condition}")

    def without_vector(self) -> str:
        places = []
        if self._schema.chunks:
            places.append(f"EXISTS (SELECT 1 FROM {VECTORS}_rowids r WHERE r.rowid = m.rowid)")
        if self._schema.backup:
            places.append(f"EXISTS (SELECT 1 FROM {BACKUP} b WHERE b.rowid = m.rowid)")
        return f"({self._schema.pending()} OR NOT ({' OR '.join(places) or '0'}))"

    def stores(self) -> Mapping[str, int]:
        name = (
            f"coalesce(nullif(m.store, ''), '{DEFAULT_STORE}')"
            if "store" in self._schema.columns
            else f"'{DEFAULT_STORE}'"
        )
        rows = self._connection.execute(
            f"SELECT {name}, count(*) FROM {MEMORIES} m WHERE {self._schema.live()} GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        return {as_text(store): int(number) for store, number in rows}

    def left_behind(self) -> Mapping[str, int]:
        tables = self._schema.tables
        left = {table: self._number(f"SELECT count(*) FROM {table}") for table in WITHOUT_A_HOME if table in tables}
        if GRAPH in tables:
            left["graph edges of no live memory"] = self._number(
                f"SELECT count(*) FROM {GRAPH} g WHERE NOT EXISTS (SELECT 1 FROM {MEMORIES} m "
                f"WHERE m.content_hash = g.source_hash AND {self._schema.live()})"
            )
        return {name: number for name, number in left.items() if number}

    def model(self) -> str | None:
        """What our backend records, or what the original's event log names; older databases say nothing."""
        asked = {
            "metadata": "SELECT value FROM metadata WHERE key = 'embedding_model'",
            "sync_events": "SELECT embedding_model FROM sync_events WHERE coalesce(embedding_model, '') <> '' "
            "ORDER BY seq DESC LIMIT 1",
        }
        for table, sql in asked.items():
            if table in self._schema.tables and (row := self._connection.execute(sql).fetchone()):
                return as_text(row[0])
        return None

    def _number(self, sql: str) -> int:
        return int(self._connection.execute(sql).fetchone()[0])
