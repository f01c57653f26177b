"""An open database and its operations, blocking: called in one worker thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import apsw

from mcp_memory.domain.errors import DimensionMismatchError, MemoryNotFoundError
from mcp_memory.domain.memory import EmbeddedMemory, Memory, MemoryChanges, changed_tags, point_id
from mcp_memory.domain.query import Cursor, FacetField, MemoryFilter, Page
from mcp_memory.storage.base import OptimizeReport, StorageStats, UpsertMode, UpsertOutcome
from mcp_memory.storage.sqlite_vec import schema
from mcp_memory.storage.sqlite_vec.connection import connect, fetch, make_durable, told, transaction
from mcp_memory.storage.sqlite_vec.filters import condition
from mcp_memory.storage.sqlite_vec.index import Index
from mcp_memory.storage.sqlite_vec.options import SqliteVecOptions
from mcp_memory.storage.sqlite_vec.rows import COLUMNS, StoredRow, read_row, values_of
from mcp_memory.storage.sqlite_vec.vectors import Vectors

log = logging.getLogger(__name__)
T = TypeVar("T")
TERMS_SECONDS = 2.0
"""Of an opening, for the words of memories stored by older releases."""
_IDS = 500
"""Ids a statement."""
_FACETS = {
    FacetField.TAGS: ("JOIN mcp_tags f ON f.id = p.id", "f.tag"),
    FacetField.MEMORY_TYPE: ("", "p.memory_type"),
    FacetField.STORE: ("", "p.store"),
}


class Database:
    """Opened by `open`; every method raises StorageError or a subclass."""

    def __init__(self, options: SqliteVecOptions, connection: apsw.Connection, layout: schema.Layout) -> None:
        self.options = options
        self.connection = connection
        self._layout = layout
        self.vectors = Vectors(connection, options.model.dimensions, partitioned=layout.partitioned)
        self._index = Index(connection, layout)

    @classmethod
    def open(cls, options: SqliteVecOptions) -> Database:
        """Open or create, and index what the original has written since."""
        connection = connect(options.path, options.busy_timeout)
        try:
            with told(options.path):
                modified = options.path.stat().st_mtime
                schema.recognise(connection, options.path, options.model)
                make_durable(connection)
                with transaction(connection):
                    database = cls(options, connection, schema.prepare(connection, options.model))
                    database._index.catch_up(time.time(), modified)
                database._bring_terms_up_to_date(TERMS_SECONDS)
        except BaseException:
            connection.close()
            raise
        return database

    def close(self) -> None:
        with told(self.options.path):
            self.connection.close()

    def reading(self, work: Callable[[Database], T]) -> T:
        """Several statements on one state of the database."""
        with told(self.options.path):
            self.connection.execute("BEGIN")
            try:
                return work(self)
            finally:
                self.connection.execute("ROLLBACK")

    # Write

    def upsert(self, items: Sequence[EmbeddedMemory], mode: UpsertMode) -> list[UpsertOutcome]:
        dimensions = self.options.model.dimensions
        for item in items:
            if item.vector.shape != (dimensions,):
                raise DimensionMismatchError(expected=dimensions, got=item.vector.size)
        with told(self.options.path), transaction(self.connection):
            return self._upsert(items, mode)

    def _upsert(self, items: Sequence[EmbeddedMemory], mode: UpsertMode) -> list[UpsertOutcome]:
        known = self._rowids(item.memory.id for item in items)
        written: set[str] = set()
        outcomes = []
        for item in items:
            id_ = item.memory.id
            outcomes.append(UpsertOutcome.EXISTED if id_ in known or id_ in written else UpsertOutcome.STORED)
            if id_ not in written and not (mode is UpsertMode.INSERT and id_ in known):
                self._write(item, known.get(id_), mode)
                written.add(id_)
        return outcomes

    def _write(self, item: EmbeddedMemory, rowid: int | None, mode: UpsertMode) -> None:
        revision = item.memory.revision
        if mode is UpsertMode.COPY:
            self._index.seen_revision(revision)
        else:
            revision = self._index.next_revision(time.time(), revision)
        memory = replace(
            item.memory,
            created_at=round(item.memory.created_at, 6),
            updated_at=round(item.memory.updated_at, 6),
            revision=revision,
        )
        values = {name: value for name, value in values_of(memory).items() if name in self._layout.columns}
        if rowid is None:
            # A tombstone or a superseded version of the original's may hold the hash.
            for (hidden,) in fetch(
                self.connection, "SELECT id FROM memories WHERE content_hash = ?", (memory.content_hash,)
            ):
                self._remove(hidden)
            self.connection.execute(
                f"INSERT INTO memories ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
                tuple(values.values()),
            )
            rowid = self.connection.last_insert_rowid()
        else:
            if "embedding_pending" in self._layout.columns:
                values["embedding_pending"] = 0
            self.connection.execute(
                f"UPDATE memories SET {', '.join(f'{name} = ?' for name in values)} WHERE id = ?",
                (*values.values(), rowid),
            )
        self.vectors.put(rowid, item.vector, memory.store)
        self._index.put(rowid, memory, ours=True)

    def _remove(self, rowid: int) -> None:
        """Row, vector, index and, as the original does, the graph's edges from and to it."""
        if self._layout.graph:
            for end in ("source_hash", "target_hash"):
                self.connection.execute(
                    f"DELETE FROM memory_graph WHERE {end} = (SELECT content_hash FROM memories WHERE id = ?)", (rowid,)
                )
        self.connection.execute("DELETE FROM memories WHERE id = ?", (rowid,))
        self.vectors.remove(rowid)
        self._index.remove(rowid)

    def delete(self, hashes: Sequence[str]) -> list[str]:
        wanted = {point_id(hash_): hash_ for hash_ in hashes}
        with told(self.options.path), transaction(self.connection):
            known = self._rowids(wanted)
            for rowid in known.values():
                self._remove(rowid)
        return [hash_ for id_, hash_ in wanted.items() if id_ in known]

    def delete_matching(self, where: MemoryFilter) -> int:
        found = condition(where)
        with told(self.options.path), transaction(self.connection):
            rows = fetch(self.connection, f"SELECT p.id FROM mcp_points p WHERE {found.sql}", found.values)
            for (rowid,) in rows:
                self._remove(rowid)
        return len(rows)

    def update(self, content_hash: str, changes: MemoryChanges) -> Memory:
        with told(self.options.path), transaction(self.connection):
            rows = self._rows("p.point_id = ?", (point_id(content_hash),))
            if not rows:
                raise MemoryNotFoundError(content_hash)
            old = rows[0].memory
            memory = replace(
                old,
                tags=changed_tags(old.tags, tags=changes.tags, add=changes.add_tags, remove=changes.remove_tags),
                store=old.store if changes.store is None else changes.store,
                memory_type=old.memory_type if changes.memory_type is None else changes.memory_type,
                metadata={**old.metadata, **(changes.metadata or {})},
                updated_at=old.updated_at if changes.updated_at is None else round(changes.updated_at, 6),
                revision=self._index.next_revision(time.time()),
            )
            # Hash and text stay the row's own: those of the original's may not be what we made of them.
            kept = {"content", "content_hash"}
            values = {
                name: value
                for name, value in values_of(memory).items()
                if name in self._layout.columns and name not in kept
            }
            self.connection.execute(
                f"UPDATE memories SET {', '.join(f'{name} = ?' for name in values)} WHERE id = ?",
                (*values.values(), rows[0].rowid),
            )
            if memory.store != old.store:
                for rowid, vector in self.vectors.get([rows[0].rowid]).items():
                    self.vectors.put(rowid, vector, memory.store)
            self._index.change(rows[0].rowid, memory)
        return memory

    # Read

    def get(self, hashes: Sequence[str]) -> dict[str, Memory]:
        return {row.memory.content_hash: row.memory for row in self.reading(lambda _: self._found(hashes))}

    def get_embedded(self, hashes: Sequence[str]) -> dict[str, EmbeddedMemory]:
        return {item.memory.content_hash: item for item in self.reading(lambda _: self._embedded(self._found(hashes)))}

    def _found(self, hashes: Sequence[str]) -> list[StoredRow]:
        rows: list[StoredRow] = []
        ids = list(dict.fromkeys(map(point_id, hashes)))
        for start in range(0, len(ids), _IDS):
            part = ids[start : start + _IDS]
            rows += self._rows(f"p.point_id IN ({', '.join('?' * len(part))})", part)
        return rows

    def _embedded(self, rows: Sequence[StoredRow]) -> list[EmbeddedMemory]:
        vectors = self.vectors.get(row.rowid for row in rows)
        return [EmbeddedMemory(row.memory, vectors[row.rowid]) for row in rows if row.rowid in vectors]

    def memories(self, rowids: Sequence[int]) -> dict[int, StoredRow]:
        """Rows by rowid."""
        found: dict[int, StoredRow] = {}
        for start in range(0, len(rowids), _IDS):
            part = rowids[start : start + _IDS]
            found |= {row.rowid: row for row in self._rows(f"p.id IN ({', '.join('?' * len(part))})", part)}
        return found

    def _rows(self, clause: str, values: Sequence[object], rest: str = "") -> list[StoredRow]:
        return [
            read_row(row)
            for row in self.connection.execute(
                f"SELECT {COLUMNS} FROM mcp_points p JOIN memories m ON m.id = p.id WHERE {clause} {rest}",
                tuple(values),
            )
        ]

    def _rowids(self, ids: Iterable[str]) -> dict[str, int]:
        wanted = list(dict.fromkeys(ids))
        found: dict[str, int] = {}
        for start in range(0, len(wanted), _IDS):
            part = wanted[start : start + _IDS]
            marks = ", ".join("?" * len(part))
            rows = fetch(self.connection, f"SELECT point_id, id FROM mcp_points WHERE point_id IN ({marks})", part)
            found |= {row[0]: row[1] for row in rows}
        return found

    def page(self, where: MemoryFilter, limit: int, cursor: Cursor | None, offset: int) -> Page:
        found = condition(where)
        if cursor is not None:
            found.add(
                "(p.created_at < ? OR (p.created_at = ? AND p.point_id > ?))", *[cursor.created_at] * 2, cursor.id
            )
        rest = "ORDER BY p.created_at DESC, p.point_id LIMIT ? OFFSET ?"
        rows = self.reading(lambda _: self._rows(found.sql, (*found.values, limit + 1, offset), rest))
        memories = [row.memory for row in rows[:limit]]
        more = len(rows) > limit and bool(memories)
        return Page(memories, Cursor(memories[-1].created_at, rows[limit - 1].point_id) if more else None)

    def scroll(self, where: MemoryFilter, limit: int, after_id: str | None) -> tuple[list[EmbeddedMemory], str | None]:
        """The next batch in order of point id, and the id to go on behind; None at the end."""
        found = condition(where)
        if after_id is not None:
            found.add("p.point_id > ?", after_id)
        values = (*found.values, limit)

        def read(_: Database) -> tuple[list[EmbeddedMemory], str | None]:
            rows = self._rows(found.sql, values, "ORDER BY p.point_id LIMIT ?")
            return self._embedded(rows), rows[-1].point_id if rows else None

        return self.reading(read)

    def count(self, where: MemoryFilter) -> int:
        found = condition(where)
        with told(self.options.path):
            return self._number(f"SELECT count(*) FROM mcp_points p WHERE {found.sql}", found.values)

    def facet(self, field: FacetField, where: MemoryFilter) -> dict[str, int]:
        found = condition(where)
        join, value = _FACETS[field]
        with told(self.options.path):
            rows = fetch(
                self.connection,
                f"SELECT {value}, count(*) FROM mcp_points p {join} WHERE {found.sql} AND {value} IS NOT NULL GROUP BY 1",
                found.values,
            )
        return {row[0]: row[1] for row in sorted(rows, key=lambda pair: (-pair[1], pair[0]))}

    # State

    def stats(self) -> StorageStats:
        with told(self.options.path):
            total = self._number("SELECT count(*) FROM mcp_points")
            embedded = self._number(
                "SELECT count(*) FROM mcp_points p WHERE EXISTS (SELECT 1 FROM memory_embeddings_rowids r WHERE r.rowid = p.id)"
            )
            memory = self.connection.status(apsw.SQLITE_DBSTATUS_CACHE_USED)[0]
        return StorageStats(
            vectors_count=total,
            indexed_vectors_count=embedded,
            disk_data_size=sum(map(_size, _files(self.options.path))),
            ram_data_size=memory,
            details={"index": "flat", "columns": len(self._layout.columns), "partitioned": self._layout.partitioned},
        )

    def ping(self) -> None:
        with told(self.options.path):
            self.connection.execute("SELECT id FROM mcp_points LIMIT 1").fetchone()

    def optimize(self) -> OptimizeReport:
        started = time.monotonic()
        with told(self.options.path):
            counted = self._bring_terms_up_to_date(None)
            self.connection.execute("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)")
        message = "sqlite_vec compares every vector: there is no index to build. Statistics and log are tidied."
        if counted:
            message += f" Keyword search finds more words in {counted:,} memories."
        return OptimizeReport(
            changed=counted > 0,
            message=message,
            seconds=time.monotonic() - started,
        )

    def _bring_terms_up_to_date(self, seconds: float | None) -> int:
        """Count the words of memories stored by older releases, for so long; the next opening, or `optimize`, goes on."""
        started, counted, more = time.monotonic(), 0, True
        while more and (seconds is None or time.monotonic() - started < seconds):
            with transaction(self.connection):
                number, more = self._index.bring_terms_up_to_date()
            counted += number
        if more:
            log.warning(
                "%s: keyword search still misses some words of memories stored by an older release. All at once: "
                "memory optimize",
                self.options.path,
            )
        return counted

    def _number(self, sql: str, values: Sequence[object] = ()) -> int:
        return int(fetch(self.connection, sql, values)[0][0])


def _files(path: Path) -> list[Path]:
    return [path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
