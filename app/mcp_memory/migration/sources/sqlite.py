"""Databases of every release of the original service, and of our sqlite_vec backend, read with Python's own sqlite3.

No extension is loaded, nothing is written (see snapshot), columns go by name, and memory stays bounded whatever the size.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from mcp_memory.domain.foreign import RawMemory, UnreadableError, convert
from mcp_memory.domain.foreign_notes import Note
from mcp_memory.domain.foreign_times import RawTimes
from mcp_memory.migration.sources.base import (
    BATCH_BYTES,
    Selection,
    SourceBatch,
    SourceError,
    SourceMemory,
    SourceReport,
    Unreadable,
)
from mcp_memory.migration.sources.snapshot import Snapshot
from mcp_memory.migration.sources.snapshot_source import SnapshotSource
from mcp_memory.migration.sources.sqlite_report import report
from mcp_memory.migration.sources.sqlite_schema import GRAPH, MEMORIES, VECTORS, Schema, as_text, read_schema
from mcp_memory.migration.sources.sqlite_vectors import VectorReader

if TYPE_CHECKING:
    from mcp_memory.domain.memory import Vector

Row: TypeAlias = dict[str, Any]

_ROWID, _CHUNK, _SLOT = " rowid", " chunk", " slot"
"""Names that can't meet a column's."""
_WITH_A_HOME = frozenset(
    {"id", "content", "content_hash", "tags", "memory_type", "metadata", "store", "embedding_pending"}
) | {
    *("created_at", "updated_at", "created_at_iso", "updated_at_iso"),
    *(_ROWID, _CHUNK, _SLOT),
}
_USUAL: Mapping[str, object] = {"version": 1, "confidence": 1.0}
"""Values of other columns that say nothing."""


@dataclass(frozen=True, slots=True)
class _Open:
    snapshot: Snapshot
    schema: Schema


class SqliteSource(SnapshotSource[_Open]):
    """A database of the original service. Open it by entering it."""

    def _snapshot(self) -> Snapshot:
        return Snapshot(self._path)

    def _open(self, snapshot: Snapshot) -> _Open:
        # Bytes, since a text may hold what isn't UTF-8; conversion decodes.
        snapshot.connection.text_factory = bytes
        return _Open(snapshot, read_schema(snapshot.connection, self._path))

    def _inspect(self, opened: _Open) -> SourceReport:
        return report(self._path, opened.snapshot, opened.schema)

    def _read(self, opened: _Open, after: int, batch_size: int, select: Selection) -> Iterator[SourceBatch]:
        schema, connection = opened.schema, opened.snapshot.connection
        vectors = VectorReader(connection, schema.vectors.dimensions, backup=schema.backup) if schema.vectors else None
        with self._telling_damage(opened):
            for rows in _row_batches(connection, _select(schema, select), after, batch_size):
                batch = self._convert(rows, opened, vectors)
                opened.snapshot.check_unchanged()
                yield batch

    def _damaged(self, error: sqlite3.Error) -> SourceError:
        return SourceError(
            f"{self._path} can't be read: {error}. If it is damaged, `sqlite3 COPY .recover` on a copy of it may save "
            "what is left."
        )

    def _convert(self, rows: Sequence[Row], opened: _Open, vectors: VectorReader | None) -> SourceBatch:
        found: list[Vector | None] = [None] * len(rows)
        unusable = [False] * len(rows)
        if vectors is not None:
            places = [_place(row) for row in rows]
            found, unusable = vectors.read([row[_ROWID] for row in rows], places)
        graph = _edges(opened, rows[0][_ROWID], rows[-1][_ROWID])
        memories: list[SourceMemory] = []
        unreadable: list[Unreadable] = []
        homeless = [name for name in rows[0] if name not in _WITH_A_HOME]
        for row, vector, broken in zip(rows, found, unusable, strict=True):
            try:
                raw = _raw(row, homeless, graph.get(row["content_hash"], ()))
                memory, notes = convert(raw, fallback_time=opened.snapshot.modified_at)
            except UnreadableError as error:
                unreadable.append(Unreadable(as_text(row["content_hash"]), row[_ROWID], str(error)))
                continue
            if vector is None:
                notes = (*notes, Note.VECTOR_UNUSABLE if broken else Note.NO_VECTOR)
            memories.append(SourceMemory(memory, vector, row[_ROWID], notes))
        return SourceBatch(tuple(memories), tuple(unreadable), rows[-1][_ROWID])


def _select(schema: Schema, select: Selection) -> str:
    wanted = ["m.rowid > ?"]
    if not select.tombstones:
        wanted.append(f"NOT {schema.tombstone()}")
    if not select.superseded:
        wanted.append(f"({schema.tombstone()} OR NOT {schema.superseded()})")
    columns = ", ".join('m."{}"'.format(name.replace('"', '""')) for name in schema.columns)
    chunk, slot = ("r.chunk_id", "r.chunk_offset") if schema.chunks else ("NULL", "NULL")
    join = f"LEFT JOIN {VECTORS}_rowids r ON r.rowid = m.rowid" if schema.chunks else ""
    return (
        f'SELECT m.rowid AS "{_ROWID}", {chunk} AS "{_CHUNK}", {slot} AS "{_SLOT}", {columns} '
        f"FROM {MEMORIES} m {join} WHERE {' AND '.join(wanted)} ORDER BY m.rowid"
    )


def _row_batches(connection: sqlite3.Connection, sql: str, after: int, batch_size: int) -> Iterator[list[Row]]:
    """Rows by column name, in order of rowid; a batch ends early where texts are long."""
    cursor = connection.execute(sql, (after,))
    names = [column[0] for column in cursor.description]
    batch: list[Row] = []
    size = 0
    for values in cursor:
        batch.append(dict(zip(names, values, strict=True)))
        size += sum(
            len(value) for value in (batch[-1]["content"], batch[-1].get("metadata")) if isinstance(value, bytes)
        )
        if len(batch) >= batch_size or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _place(row: Row) -> tuple[int, int] | None:
    """Chunk and slot; none for a row whose text is newer than its vector (the original embeds it again)."""
    chunk, slot = row[_CHUNK], row[_SLOT]
    if not isinstance(chunk, int) or not isinstance(slot, int) or row.get("embedding_pending"):
        return None
    return chunk, slot


def _edges(opened: _Open, first: int, last: int) -> dict[bytes, list[Row]]:
    """Graph edges by the hash they start from, of the rows between two rowids."""
    edges: defaultdict[bytes, list[Row]] = defaultdict(list)
    if GRAPH not in opened.schema.tables:
        return edges
    cursor = opened.snapshot.connection.execute(
        f"SELECT g.* FROM {MEMORIES} m CROSS JOIN {GRAPH} g ON g.source_hash = m.content_hash "
        "WHERE m.rowid BETWEEN ? AND ? ORDER BY m.rowid, g.target_hash",
        (first, last),
    )
    names = [column[0] for column in cursor.description]
    for values in cursor:
        edge = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        edges[edge.pop("source_hash")].append(edge)
    return edges


def _raw(row: Row, homeless: Sequence[str], graph: Sequence[Row]) -> RawMemory:
    get = row.get
    kept = {name: row[name] for name in homeless if row[name] not in (None, b"", _USUAL.get(name))}
    return RawMemory(
        content=row["content"],
        content_hash=row["content_hash"],
        tags=get("tags"),
        memory_type=get("memory_type"),
        metadata=get("metadata"),
        times=RawTimes(get("created_at"), get("updated_at"), get("created_at_iso"), get("updated_at_iso")),
        store=get("store"),
        homeless=kept,
        graph=graph,
    )
