"""Our index beside the original's table: what filters, lists and ranks. Kept with every write, and made whole when opening."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import apsw

from mcp_memory.domain.foreign import RawMemory, UnreadableError, convert
from mcp_memory.domain.foreign_times import RawTimes
from mcp_memory.domain.memory import Memory, next_revision
from mcp_memory.storage.analysis import VERSION as TERMS_VERSION
from mcp_memory.storage.bm25 import Bm25, has_more_terms
from mcp_memory.storage.sqlite_vec.schema import Layout

log = logging.getLogger(__name__)

_IDS = 500
"""Rows read at a time."""
_TERMS_STATE = "SELECT key, value FROM mcp_state WHERE key IN ('terms', 'terms_after')"


class Index:
    """The tables `mcp_*` of one connection. Every method runs within the caller's transaction."""

    def __init__(self, connection: apsw.Connection, layout: Layout) -> None:
        self._connection = connection
        self._layout = layout
        self._bm25 = Bm25()

    def put(self, rowid: int, memory: Memory, *, ours: bool) -> None:
        """Index a memory whose row is there, in place of what was indexed of this row."""
        self.remove(rowid)
        self._connection.execute(
            f"INSERT INTO mcp_points SELECT m.id, ?, ?, ?, ?, ?, ?, ?, {self._seen} FROM memories m WHERE m.id = ?",
            (
                memory.id,
                memory.content_hash,
                memory.created_at,
                memory.memory_type,
                memory.store,
                memory.revision,
                int(ours),
                rowid,
            ),
        )
        self._put_tags(rowid, memory)
        self._put_superseded(rowid, memory)
        self._put_terms(rowid, memory.content)

    def _put_terms(self, rowid: int, content: str) -> None:
        terms, weights = self._bm25.document(content)
        self._connection.executemany(
            "INSERT INTO mcp_terms VALUES (?, ?, ?)",
            [(term, rowid, weight) for term, weight in zip(terms, weights, strict=True)],
        )

    def bring_terms_up_to_date(self) -> tuple[int, bool]:
        """Count the words of the next memories that were stored with older terms; how many, and whether there are more."""
        state = dict(self._connection.execute(_TERMS_STATE))
        if state.get("terms", 1) >= TERMS_VERSION:
            return 0, False
        rows: list[tuple[Any, ...]] = self._connection.execute(
            "SELECT p.id, CAST(m.content AS BLOB) FROM mcp_points p JOIN memories m ON m.id = p.id "
            "WHERE p.id > ? ORDER BY p.id LIMIT ?",
            (state.get("terms_after", -(2**63)), _IDS),
        ).fetchall()
        counted = 0
        for rowid, content in rows:
            text = content.decode(errors="replace")
            if has_more_terms(text):
                self._connection.execute("DELETE FROM mcp_terms WHERE id = ?", (rowid,))
                self._put_terms(rowid, text)
                counted += 1
        note = ("terms_after", rows[-1][0]) if rows else ("terms", TERMS_VERSION)
        self._connection.execute("INSERT OR REPLACE INTO mcp_state VALUES (?, ?)", note)
        return counted, bool(rows)

    def change(self, rowid: int, memory: Memory) -> None:
        """Index an update, which leaves content and vector as they are."""
        self._connection.execute(
            "UPDATE mcp_points SET memory_type = ?, store = ?, revision = ?, created_at = ?, ours = 1, "
            "(seen_tags, seen_type, seen_store, seen_created) = "
            f"(SELECT {self._seen} FROM memories m WHERE m.id = mcp_points.id) WHERE id = ?",
            (memory.memory_type, memory.store, memory.revision, memory.created_at, rowid),
        )
        for table in ("mcp_tags", "mcp_superseded"):
            self._connection.execute(f"DELETE FROM {table} WHERE id = ?", (rowid,))
        self._put_tags(rowid, memory)
        self._put_superseded(rowid, memory)

    def _put_tags(self, rowid: int, memory: Memory) -> None:
        self._connection.executemany(
            "INSERT INTO mcp_tags VALUES (?, ?)", [(tag, rowid) for tag in dict.fromkeys(memory.tags)]
        )

    def _put_superseded(self, rowid: int, memory: Memory) -> None:
        if memory.superseded_by is not None:
            self._connection.execute("INSERT INTO mcp_superseded VALUES (?, ?)", (rowid, memory.superseded_by))

    def remove(self, rowid: int) -> None:
        for table in ("mcp_points", "mcp_tags", "mcp_terms", "mcp_superseded"):
            self._connection.execute(f"DELETE FROM {table} WHERE id = ?", (rowid,))

    def next_revision(self, now: float, given: int = 1) -> int:
        """Grows over the whole database, whichever process writes."""
        (last,) = self._connection.execute("SELECT value FROM mcp_state WHERE key = 'revision'").fetchone() or (0,)
        revision = next_revision(now, max(int(last), given - 1))
        self._connection.execute("UPDATE mcp_state SET value = ? WHERE key = 'revision'", (revision,))
        return revision

    def seen_revision(self, revision: int) -> None:
        """Revisions given from here on are later than this one."""
        self._connection.execute("UPDATE mcp_state SET value = max(value, ?) WHERE key = 'revision'", (revision,))

    def catch_up(self, now: float, fallback_time: float) -> int:
        """Index what the original wrote, changed or deleted since; returns how many rows that were.

        What isn't indexed isn't there: tombstones, superseded versions, rows without a text.
        """
        gone = self._ids(
            "SELECT p.id FROM mcp_points p LEFT JOIN memories m ON m.id = p.id "
            f"WHERE m.id IS NULL OR m.content_hash <> p.content_hash OR NOT {self._live()}"
        )
        for rowid in gone:
            self.remove(rowid)
        changed = self._ids(
            f"SELECT m.id FROM memories m LEFT JOIN mcp_points p ON p.id = m.id WHERE {self._live()} AND (p.id IS NULL "
            f"OR (p.seen_tags, p.seen_type, p.seen_store, p.seen_created) IS NOT ({self._seen}))"
        )
        left_out = 0
        for start in range(0, len(changed), _IDS):
            for row in self._foreign_rows(changed[start : start + _IDS]):
                left_out += not self._adopt(row, now, fallback_time)
        if left_out:
            log.warning("%d memories of this database have no text, or the hash of another, and are left out", left_out)
        return len(gone) + len(changed) - left_out

    def _ids(self, sql: str) -> list[int]:
        return [int(rowid) for (rowid,) in self._connection.execute(sql)]

    def _foreign_rows(self, ids: list[int]) -> list[tuple[Any, ...]]:
        """Texts as bytes: the original's database may hold what isn't UTF-8."""
        texts = ", ".join(
            f"CAST(m.{name} AS BLOB)" for name in ("content", "content_hash", "tags", "memory_type", "metadata")
        )
        store = "m.store" if self._has("store") else "p.store"
        iso = ", ".join(f"m.{name}" if self._has(name) else "NULL" for name in ("created_at_iso", "updated_at_iso"))
        return self._connection.execute(
            f"SELECT m.id, {texts}, {store}, m.created_at, m.updated_at, {iso} FROM memories m "
            f"LEFT JOIN mcp_points p ON p.id = m.id WHERE m.id IN ({', '.join('?' * len(ids))}) ORDER BY m.id",
            ids,
        ).fetchall()

    def _adopt(self, row: tuple[Any, ...], now: float, fallback_time: float) -> bool:
        rowid, content, hash_, tags, memory_type, metadata, store, *times = row
        raw = RawMemory(content, hash_, tags, memory_type, metadata, RawTimes(*times), store)
        try:
            memory, _ = convert(raw, fallback_time=fallback_time)
        except UnreadableError:
            return False
        other = self._connection.execute(
            "SELECT 1 FROM mcp_points WHERE point_id = ? AND id <> ?", (memory.id, rowid)
        ).fetchone()
        if other is not None:
            return False
        self.put(rowid, replace(memory, revision=self.next_revision(now)), ours=False)
        return True

    def _live(self) -> str:
        deleted = "m.deleted_at IS NULL" if self._has("deleted_at") else "1"
        superseded = "coalesce(m.superseded_by, '') = ''" if self._has("superseded_by") else "1"
        return f"({deleted} AND {superseded})"

    @property
    def _seen(self) -> str:
        """The row's own values, which tell a later change of the original's."""
        return f"m.tags, m.memory_type, {'m.store' if self._has('store') else 'NULL'}, m.created_at"

    def _has(self, column: str) -> bool:
        return column in self._layout.columns
