"""The memory: a short text, what is known about it, and the vector that stands for its meaning."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha1, sha256
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector: TypeAlias = NDArray[np.float32]

JsonValue: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list or dict of the same."""

DEFAULT_STORE = "default"
SUPERSEDED_BY = "superseded_by"
"""Metadata key of a memory that a newer one replaced: that one's hash. The original's name for it."""
POINT_NAMESPACE = uuid.UUID("6f1c9a52-8a4e-5d0b-9d0f-3b8a2c7e41d6")


def content_hash(content: str) -> str:
    """SHA-256 of the content, stripped and lower-cased, as 64 hex digits: the rule of the original service.

    Two texts that differ in case or outer blanks are one memory. Unicode normalisation forms are kept apart on purpose
    (NFC and NFD of a text are two memories), since hashes stored by older releases must stay what they are.
    """
    return sha256(content.strip().lower().encode("utf-8")).hexdigest()


def point_id(hash_: str) -> str:
    """The point's id in every Qdrant: UUIDv5 of a fixed namespace and the content hash, so that writes are idempotent."""
    digest = sha1(POINT_NAMESPACE.bytes + hash_.encode(), usedforsecurity=False).hexdigest()
    # As uuid.uuid5, which takes five times as long: version 5 and the variant in their places.
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def iso(seconds: float) -> str:
    """UTC seconds as ISO 8601 with microseconds and Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def normalise_for_matching(text: str) -> str:
    """The form in which `exact` search compares texts: NFC, case-folded."""
    return unicodedata.normalize("NFC", text).casefold()


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory as it is stored. Times are UTC seconds; `revision` grows with every change (see `next_revision`)."""

    content: str
    content_hash: str
    created_at: float
    updated_at: float
    tags: tuple[str, ...] = ()
    memory_type: str | None = None
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    store: str = DEFAULT_STORE
    revision: int = 1

    @property
    def id(self) -> str:
        """The point's id (UUIDv5)."""
        return point_id(self.content_hash)

    @property
    def superseded_by(self) -> str | None:
        """The hash of the memory that replaced this one; None while it is current."""
        by = self.metadata.get(SUPERSEDED_BY)
        return by if isinstance(by, str) and by else None

    @property
    def created_at_iso(self) -> str:
        return iso(self.created_at)

    @property
    def updated_at_iso(self) -> str:
        return iso(self.updated_at)


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedMemory:
    """A memory with its dense vector, float32[d], L2-normalised."""

    memory: Memory
    vector: Vector


@dataclass(frozen=True, slots=True)
class ScoredMemory:
    """A search hit.

    `score` orders the answer (its scale depends on the search mode); `similarity_score` is `max(0, 1 - d/2)` of the cosine
    distance d to the query, 0.0 to 1.0 with orthogonal = 0.5, or None where no query vector took part.
    """

    memory: Memory
    score: float
    similarity_score: float | None


@dataclass(frozen=True, slots=True)
class MemoryChanges:
    """What an update changes; None leaves a field as it is.

    `metadata` is merged shallowly into what is there (a key set to None stays, with the value null); `tags` replace, and
    `remove_tags` and `add_tags` then change those. `store` moves the memory.
    """

    tags: tuple[str, ...] | None = None
    memory_type: str | None = None
    metadata: Mapping[str, JsonValue] | None = None
    updated_at: float | None = None
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    store: str | None = None

    @property
    def empty(self) -> bool:
        return self == MemoryChanges(updated_at=self.updated_at)

    @property
    def only_metadata(self) -> bool:
        return self == MemoryChanges(metadata=self.metadata, updated_at=self.updated_at)


def changed_tags(
    there: Sequence[str], *, tags: Sequence[str] | None, add: Sequence[str], remove: Sequence[str]
) -> tuple[str, ...]:
    """The tags after a change, in order: those given or else those there, without `remove`, then `add`."""
    kept = (tag for tag in (there if tags is None else tags) if tag not in remove)
    return tuple(dict.fromkeys((*kept, *add)))


def next_revision(now: float, previous: int = 0) -> int:
    """A hybrid logical clock in microseconds: later than `previous` even when the wall clock steps back. Below 2**53."""
    return max(previous + 1, int(now * 1_000_000))


def similarity_score(cosine: float) -> float:
    """`max(0, 1 - d/2)` with d = 1 - cosine, the scale that clients of the original service expect."""
    return max(0.0, min(1.0, (1.0 + cosine) / 2.0))
