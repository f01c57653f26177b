"""Whether the target holds what the source does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.storage.base import BaseStorage

if TYPE_CHECKING:
    from mcp_memory.domain.memory import Vector

MIN_COSINE = 0.99
TIME_TOLERANCE = 0.001
"""Seconds."""
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with one memory. For a difference: the field, what the source says, what the target says."""

    content_hash: str
    stage: str
    """read, embed, store or validate."""
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        if self.stage == "validate":
            return f"{self.content_hash}: {self.field} differs: expected {self.expected}, found {self.found}"
        return f"{self.content_hash}: {self.stage} failed: {self.found}"


async def validate(storage: BaseStorage, expected: Sequence[EmbeddedMemory]) -> list[Failure]:
    """Compare memories with what the target holds of them: every difference of each."""
    found = await storage.get_embedded([item.memory.content_hash for item in expected])
    pairs = [(item, found.get(item.memory.content_hash)) for item in expected]
    near = cosines([(item.vector, there.vector) for item, there in pairs if there is not None])
    return [
        failure
        for item, there in pairs
        for failure in differences(item, there, near=None if there is None else next(near))
    ]


def differences(expected: EmbeddedMemory, found: EmbeddedMemory | None, *, near: float | None = None) -> list[Failure]:
    """`near` is the vectors' cosine where it is known.

    Content to the byte, cosine above 0.99, tags as a set, times within a millisecond, everything else exactly.
    """
    hash_ = expected.memory.content_hash
    if found is None:
        return [Failure(hash_, "validate", "memory", "present", "missing")]
    wanted, there = expected.memory, found.memory
    checks: list[tuple[str, object, object, bool]] = [
        ("content", wanted.content, there.content, wanted.content == there.content),
        ("tags", sorted(wanted.tags), sorted(there.tags), set(wanted.tags) == set(there.tags)),
        ("memory_type", wanted.memory_type, there.memory_type, wanted.memory_type == there.memory_type),
        ("store", wanted.store, there.store, wanted.store == there.store),
        ("metadata", dict(wanted.metadata), dict(there.metadata), wanted.metadata == there.metadata),
    ]
    for name in ("created_at", "updated_at"):
        one, other = getattr(wanted, name), getattr(there, name)
        checks.append((name, one, other, abs(one - other) <= TIME_TOLERANCE))
    near = cosine(expected.vector, found.vector) if near is None else near
    checks.append(("embedding", f"cosine > {MIN_COSINE}", f"cosine {near:.4f}", near > MIN_COSINE))
    return [
        Failure(hash_, "validate", name, _shown(one), _shown(other)) for name, one, other, same in checks if not same
    ]


def cosines(pairs: Sequence[tuple[Vector, Vector]]) -> Iterator[float]:
    """As `cosine`, for many pairs at once where all vectors have one size."""
    if len({vector.shape for pair in pairs for vector in pair}) != 1:
        return (cosine(one, other) for one, other in pairs)
    ones, others = (np.array([pair[side] for pair in pairs], np.float32) for side in (0, 1))
    lengths = np.linalg.norm(ones, axis=1) * np.linalg.norm(others, axis=1)
    products = np.einsum("ij,ij->i", ones, others)
    return iter(np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0).tolist())


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """0.0 for vectors of different sizes."""
    if one.shape != other.shape:
        return 0.0
    lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def _shown(value: object) -> str:
    text = value if isinstance(value, str) and value.startswith("cosine") else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text):,} characters)"
