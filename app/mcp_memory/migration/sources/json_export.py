"""The original service's JSON export: {"export_metadata": {...}, "memories": [{...}, ...]}, read as a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mcp_memory.domain.foreign import RawMemory, UnreadableError, convert
from mcp_memory.domain.foreign_notes import Note
from mcp_memory.domain.foreign_times import RawTimes
from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.migration.sources.base import (
    BATCH_BYTES,
    LIVE,
    Fingerprint,
    Selection,
    SourceBatch,
    SourceChangedError,
    SourceError,
    SourceKind,
    SourceMemory,
    SourceReport,
    Unreadable,
)
from mcp_memory.migration.sources.documents import backed_up, is_document
from mcp_memory.migration.sources.fingerprint import fingerprint
from mcp_memory.migration.sources.json_stream import Element, JsonFormatError, JsonStream

if TYPE_CHECKING:
    from mcp_memory.domain.memory import Vector

_WITH_A_HOME = frozenset(
    {"content", "content_hash", "tags", "memory_type", "metadata", "store", "embedding"}
    | {"created_at", "updated_at", "created_at_iso", "updated_at_iso"}
)


class JsonExportSource:
    """An export file. Memories keep the order of the file; the cursor is their place in it, from 1."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fingerprint: Fingerprint | None = None

    @property
    def path(self) -> Path:
        return self._path

    def __enter__(self) -> Self:
        try:
            self._fingerprint = fingerprint(self._path)
        except OSError as error:
            raise SourceError(f"Can't read {self._path}: {error.strerror or error}.") from error
        return self

    def __exit__(self, *exc: object) -> None:
        self._fingerprint = None

    def inspect(self) -> SourceReport:
        columns: dict[str, None] = {}
        stores: Counter[str] = Counter()
        sizes: Counter[int] = Counter()
        total = documents = 0
        for item in self._items():
            total += 1
            if isinstance(item, dict):
                columns.update(dict.fromkeys(item))
                documents += is_document(item)
                stores[str(item.get("store") or DEFAULT_STORE)] += 1
                if isinstance(item.get("embedding"), list):
                    sizes[len(item["embedding"])] += 1
        dimensions = sizes.most_common(1)[0][0] if sizes else None
        return SourceReport(
            kind=SourceKind.JSON_EXPORT,
            path=self._path,
            schema="older JSON backup of the original service" if documents else "JSON export of the original service",
            columns=tuple(columns),
            dimensions=dimensions,
            distance=None,
            model=None,
            total=total,
            live=total,
            tombstones=0,
            superseded=0,
            without_embedding=total - (sizes[dimensions] if dimensions else 0),
            stores=dict(stores.most_common()),
            fingerprint=self._opened,
        )

    def read(self, *, after: int = 0, batch_size: int = 500, select: Selection = LIVE) -> Iterator[SourceBatch]:
        """Exports hold live memories only, so `select` changes nothing."""
        del select
        memories: list[SourceMemory] = []
        unreadable: list[Unreadable] = []
        size = cursor = 0
        for cursor, item in enumerate(self._items(), start=1):
            if cursor <= after:
                continue
            try:
                found = self._convert(item, cursor)
            except UnreadableError as error:
                hash_ = item.get("content_hash") if isinstance(item, dict) else None
                unreadable.append(Unreadable(str(hash_ or ""), cursor, str(error)))
            else:
                memories.append(found)
                size += len(found.memory.content)
            if len(memories) + len(unreadable) >= batch_size or size >= BATCH_BYTES:
                yield SourceBatch(tuple(memories), tuple(unreadable), cursor)
                memories, unreadable, size = [], [], 0
        if memories or unreadable:
            yield SourceBatch(tuple(memories), tuple(unreadable), cursor)

    @property
    def _opened(self) -> Fingerprint:
        if self._fingerprint is None:
            raise SourceError(f"{self._path} isn't open: enter the source first.")
        return self._fingerprint

    def _items(self) -> Iterator[Any]:
        before = self._opened
        seen = False
        try:
            with self._path.open(encoding="utf-8-sig") as file:
                for part in JsonStream(file, "memories"):
                    if isinstance(part, Element):
                        yield part.value
                    seen = seen or isinstance(part, Element) or part.name == "export_metadata"
            after = fingerprint(self._path)
        except (JsonFormatError, UnicodeDecodeError) as error:
            raise SourceError(f"{self._path} is not a JSON export of the original service: {error}.") from error
        except OSError as error:
            raise SourceError(f"Can't read {self._path}: {error.strerror or error}.") from error
        if not seen:
            raise SourceError(
                f'{self._path} is not a JSON export of the original service: it has no array "memories". '
                "A file that `memory export` wrote (one memory a line) is brought in by `memory import`."
            )
        if after != before:
            raise SourceChangedError(f"{self._path} was written to while it was read. Run this again.")

    def _convert(self, item: Any, cursor: int) -> SourceMemory:
        if not isinstance(item, dict):
            raise UnreadableError("it is no JSON object")
        memory, notes = convert(
            backed_up(item) if is_document(item) else _raw(item), fallback_time=self._opened.mtime_ns / 1e9
        )
        vector = as_vector(item.get("embedding"))
        if vector is None:
            notes = (*notes, Note.VECTOR_UNUSABLE if item.get("embedding") else Note.NO_VECTOR)
        return SourceMemory(memory, vector, cursor, notes)


def as_vector(value: object) -> Vector | None:
    """float32[d] of a list of numbers; None unless it is finite and not zero."""
    if value is None:
        return None
    try:
        vector = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        return None
    usable = vector.ndim == 1 and vector.size > 0 and bool(np.isfinite(vector).all()) and bool(vector.any())
    return vector if usable else None


def _raw(item: Mapping[str, Any]) -> RawMemory:
    return RawMemory(
        content=item.get("content"),
        content_hash=item.get("content_hash"),
        tags=item.get("tags"),
        memory_type=item.get("memory_type"),
        metadata=item.get("metadata"),
        times=RawTimes(
            item.get("created_at"), item.get("updated_at"), item.get("created_at_iso"), item.get("updated_at_iso")
        ),
        store=item.get("store"),
        homeless={
            name: value for name, value in item.items() if name not in _WITH_A_HOME and value not in (None, "", [], {})
        },
    )
