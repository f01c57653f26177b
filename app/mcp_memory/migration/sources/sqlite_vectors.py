"""The vectors of a vec0 table, read from its ordinary shadow tables: no extension is needed, which is the point on some machines.

A row of `_vector_chunks00` holds the little-endian float32 vectors of one chunk, usually 1,024 of them, one after the other;
`_rowids` says in which chunk and slot a row's vector is, and a chunk's `validity` bitmap says which slots are in use.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mcp_memory.migration.sources.sqlite_schema import BACKUP, VECTORS

if TYPE_CHECKING:
    from mcp_memory.domain.memory import Vector

_CACHE_BYTES = 32 * 1024 * 1024
Place: TypeAlias = tuple[int, int] | None
"""Chunk and slot of a row's vector."""


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    vectors: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    used: np.ndarray[tuple[int], np.dtype[np.uint8]]


class VectorReader:
    """Looks vectors up a batch at a time. Rows in the order of their ids touch each chunk about once."""

    def __init__(self, connection: sqlite3.Connection, dimensions: int, *, backup: bool) -> None:
        self._connection = connection
        self._dimensions = dimensions
        self._with_backup = backup
        self._cache: OrderedDict[int, _Chunk] = OrderedDict()
        self._cached_bytes = 0

    def read(self, rowids: Sequence[int], places: Sequence[Place]) -> tuple[list[Vector | None], list[bool]]:
        """For each row its vector, float32[d], finite and not zero, or None; and whether there is one that can't be used."""
        found: list[Vector | None] = [None] * len(rowids)
        unusable = [False] * len(rowids)
        for index, place in enumerate(places):
            if place is not None:
                found[index] = self._vector(*place)
            elif self._with_backup:
                found[index] = self._backed_up(rowids[index])
        there = [(index, vector) for index, vector in enumerate(found) if vector is not None]
        if there:
            matrix = np.stack([vector for _, vector in there])
            squares = np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64)
            for row, (index, _) in enumerate(there):
                if np.isfinite(squares[row]) and squares[row] > 0.0:
                    found[index] = matrix[row]
                else:
                    found[index] = None
                    unusable[index] = True
        return found, unusable

    def _vector(self, chunk_id: int, slot: int) -> Vector | None:
        chunk = self._cache.get(chunk_id)
        if chunk is None:
            chunk = self._load(chunk_id)
        else:
            self._cache.move_to_end(chunk_id)
        if not 0 <= slot < len(chunk.vectors) or not (chunk.used[slot >> 3] >> (slot & 7)) & 1:
            return None
        vector: Vector = chunk.vectors[slot]
        return vector

    def _load(self, chunk_id: int) -> _Chunk:
        row = self._connection.execute(
            f"SELECT v.vectors, c.validity FROM {VECTORS}_vector_chunks00 v JOIN {VECTORS}_chunks c ON c.chunk_id = v.rowid"
            " WHERE v.rowid = ?",
            (chunk_id,),
        ).fetchone()
        blob, validity = (b"", b"") if row is None else (row[0] or b"", row[1] or b"")
        slots = min(len(blob) // (self._dimensions * 4), len(validity) * 8)
        chunk = _Chunk(
            vectors=np.frombuffer(blob, dtype="<f4", count=slots * self._dimensions).reshape(slots, self._dimensions),
            used=np.frombuffer(validity, dtype=np.uint8),
        )
        self._cache[chunk_id] = chunk
        self._cached_bytes += chunk.vectors.nbytes
        while self._cached_bytes > _CACHE_BYTES and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].vectors.nbytes
        return chunk

    def _backed_up(self, rowid: int) -> Vector | None:
        row = self._connection.execute(f"SELECT content_embedding FROM {BACKUP} WHERE rowid = ?", (rowid,)).fetchone()
        if row is None or not isinstance(row[0], bytes) or len(row[0]) != self._dimensions * 4:
            return None
        return np.frombuffer(row[0], dtype="<f4")
