"""The folder of a qdrant-client local collection: meta.json, and a table of pickled points a collection.

qdrant-client itself would take a lock, create tables and write; here the same rules as for any other SQLite file hold (snapshot).
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_memory.domain.foreign import RawMemory, UnreadableError, convert
from mcp_memory.domain.foreign_notes import Note
from mcp_memory.domain.foreign_times import RawTimes
from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.migration.sources.base import (
    BATCH_BYTES,
    Selection,
    SourceBatch,
    SourceError,
    SourceKind,
    SourceMemory,
    SourceReport,
    Unreadable,
)
from mcp_memory.migration.sources.documents import found_text, is_document
from mcp_memory.migration.sources.json_export import as_vector
from mcp_memory.migration.sources.pickled_points import StoredPoint, read_key, read_point
from mcp_memory.migration.sources.snapshot import Snapshot
from mcp_memory.migration.sources.snapshot_source import SnapshotSource
from mcp_memory.system.records import first_link

if TYPE_CHECKING:
    from mcp_memory.domain.memory import Vector

META_FILE = "meta.json"
POINTS_FILE = "storage.sqlite"
COLLECTION = "memories"
_WITH_A_HOME = frozenset(
    {"content", "content_hash", "tags", "memory_type", "metadata", "store", "revision"}
    | {"created_at", "updated_at", "created_at_iso", "updated_at_iso"}
)


@dataclass(frozen=True, slots=True)
class _Collection:
    name: str
    dimensions: int | None
    distance: str | None
    vector_name: str | None
    """None for the collection's one unnamed vector."""


@dataclass(frozen=True, slots=True)
class _Open:
    collection: _Collection
    snapshot: Snapshot
    rowids: tuple[int, ...]
    """The latest row of each point, ascending: older versions of qdrant-client could leave several."""


class QdrantLocalSource(SnapshotSource[_Open]):
    """A folder that QdrantClient(path=...) wrote. The cursor is the row's number; such a collection holds live memories only."""

    def _snapshot(self) -> Snapshot:
        collection = _choose(self._path)
        points = self._path / "collection" / collection.name / POINTS_FILE
        if not points.is_file():
            raise SourceError(f"{self._path}: the collection {collection.name!r} has no file {points.name}.")
        return Snapshot(points)

    def _open(self, snapshot: Snapshot) -> _Open:
        return _Open(_choose(self._path), snapshot, _latest_rows(snapshot.connection))

    def _inspect(self, opened: _Open) -> SourceReport:
        stores: Counter[str] = Counter()
        columns: dict[str, None] = {}
        model: str | None = None
        without = unusable = total = documents = 0
        for _, point in self._points(opened, 0):
            if isinstance(point, str):
                unusable += 1
                total += 1
            elif not _is_marker(point):
                total += 1
                documents += is_document(point.payload)
                unusable += not _has_a_text(point)
                columns.update(dict.fromkeys(point.payload))
                stores[str(point.payload.get("store") or DEFAULT_STORE)] += 1
                without += _has_a_text(point) and _vector_of(point, opened.collection) is None
            elif isinstance(point.payload.get("embedding_model"), str):
                model = point.payload["embedding_model"]
        return SourceReport(
            kind=SourceKind.QDRANT_LOCAL,
            path=self._path,
            schema=f"qdrant-client local collection {opened.collection.name!r}"
            + (" of mcp-server-qdrant" if documents else ""),
            columns=tuple(columns),
            dimensions=opened.collection.dimensions,
            distance=opened.collection.distance,
            model=model,
            total=total,
            live=total,
            tombstones=0,
            superseded=0,
            without_embedding=without + unusable,
            stores=dict(stores.most_common()),
            fingerprint=opened.snapshot.fingerprint,
            private_copy=opened.snapshot.private_copy,
            any_vectors=documents > 0,
        )

    def _read(self, opened: _Open, after: int, batch_size: int, select: Selection) -> Iterator[SourceBatch]:
        del select
        memories: list[SourceMemory] = []
        unreadable: list[Unreadable] = []
        size = rowid = 0
        for rowid, point in self._points(opened, after):
            if isinstance(point, str):
                unreadable.append(Unreadable("", rowid, point))
            elif not _is_marker(point):
                try:
                    memories.append(_convert(point, rowid, opened))
                    size += len(memories[-1].memory.content)
                except UnreadableError as error:
                    unreadable.append(Unreadable(str(point.payload.get("content_hash") or ""), rowid, str(error)))
            if len(memories) + len(unreadable) >= batch_size or size >= BATCH_BYTES:
                opened.snapshot.check_unchanged()
                yield SourceBatch(tuple(memories), tuple(unreadable), rowid)
                memories, unreadable, size = [], [], 0
        opened.snapshot.check_unchanged()
        if memories or unreadable:
            yield SourceBatch(tuple(memories), tuple(unreadable), rowid)

    def _points(self, opened: _Open, after: int) -> Iterator[tuple[int, StoredPoint | str]]:
        """Points behind a row, in order; in place of one that can't be read, why."""
        with self._telling_damage(opened):
            for rowid in opened.rowids:
                if rowid > after:
                    row = opened.snapshot.connection.execute("SELECT point FROM points WHERE rowid = ?", (rowid,))
                    yield rowid, _unpickled(row.fetchone()[0])

    def _damaged(self, error: sqlite3.Error) -> SourceError:
        return SourceError(f"The qdrant-client folder {self._path} can't be read: {error}.")


def _unpickled(pickled: object) -> StoredPoint | str:
    try:
        return read_point(pickled if isinstance(pickled, bytes) else b"")
    except ValueError as error:
        return str(error)


def _latest_rows(connection: sqlite3.Connection) -> tuple[int, ...]:
    latest: dict[int | str, int] = {}
    unreadable: list[int] = []
    for rowid, key in connection.execute("SELECT rowid, id FROM points ORDER BY rowid"):
        try:
            latest[read_key(key)] = rowid
        except ValueError:
            unreadable.append(rowid)
    return tuple(sorted([*latest.values(), *unreadable]))


def _has_a_text(point: StoredPoint) -> bool:
    return "content" in point.payload or is_document(point.payload)


def _is_marker(point: StoredPoint) -> bool:
    """The guide's own service kept its model's name in a point without content."""
    return "embedding_model" in point.payload and not _has_a_text(point)


def _convert(point: StoredPoint, rowid: int, opened: _Open) -> SourceMemory:
    payload = point.payload
    if not _has_a_text(point):
        raise UnreadableError("it holds neither `content` nor `document`")
    memory, notes = convert(
        found_text(payload)
        if is_document(payload)
        else RawMemory(
            content=payload.get("content"),
            content_hash=payload.get("content_hash"),
            tags=payload.get("tags"),
            memory_type=payload.get("memory_type"),
            metadata=payload.get("metadata"),
            times=RawTimes(
                payload.get("created_at"),
                payload.get("updated_at"),
                payload.get("created_at_iso"),
                payload.get("updated_at_iso"),
            ),
            store=payload.get("store"),
            homeless={
                str(name): value
                for name, value in payload.items()
                if name not in _WITH_A_HOME and value not in (None, "", [], {})
            },
        ),
        fallback_time=opened.snapshot.modified_at,
    )
    vector = _vector_of(point, opened.collection)
    if vector is None:
        notes = (*notes, Note.VECTOR_UNUSABLE if point.vector else Note.NO_VECTOR)
    return SourceMemory(memory, vector, rowid, notes)


def _vector_of(point: StoredPoint, collection: _Collection) -> Vector | None:
    value = point.vector
    if isinstance(value, dict):
        value = value.get(collection.vector_name or "")
    return as_vector(value)


def _choose(path: Path) -> _Collection:
    """The collection `memories`, what the alias of that name stands for, or the only one there is."""
    try:
        meta = json.loads((path / META_FILE).read_text(encoding="utf-8"))
        collections: Mapping[str, Any] = meta["collections"]
        aliases: Mapping[str, str] = meta.get("aliases") or {}
        name = aliases.get(COLLECTION, COLLECTION)
        there = name in collections
    except OSError as error:
        raise SourceError(f"Can't read {path / META_FILE}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SourceError(f"{path / META_FILE} isn't what qdrant-client writes.") from error
    if not there:
        if len(collections) != 1:
            found = ", ".join(sorted(collections)) or "none"
            raise SourceError(f"{path} holds no collection {COLLECTION!r} (found: {found}).")
        name = next(iter(collections))
    if name in {"", ".", ".."} or Path(name).name != name or "\0" in name:
        raise SourceError(f"{path / META_FILE} names a collection {name!r}, which can't be a folder.")
    link = first_link(path, ("collection", name, POINTS_FILE))
    if link is not None:
        raise SourceError(
            f"{link} is a symbolic link, which qdrant-client doesn't make. Name the folder that it points to."
        )
    return _described(name, collections[name])


def _described(name: str, config: Any) -> _Collection:
    vectors = config.get("vectors") if isinstance(config, dict) else None
    if not isinstance(vectors, dict) or not vectors:
        return _Collection(name, None, None, None)
    if "size" in vectors:
        return _Collection(name, vectors["size"], vectors.get("distance"), None)
    vector_name = next((each for each in vectors if each.startswith("dense")), next(iter(vectors)))
    return _Collection(name, vectors[vector_name].get("size"), vectors[vector_name].get("distance"), vector_name)
