"""Memories as points, and back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mcp_memory.domain.errors import DimensionMismatchError
from mcp_memory.domain.memory import EmbeddedMemory, normalise_for_matching
from mcp_memory.storage.bm25 import SPARSE_NAME, Bm25
from mcp_memory.storage.payload import from_payload, to_payload

if TYPE_CHECKING:
    from qdrant_client.models import PointStruct, Record

FOLDED: Final = "folded"
"""Payload key of texts that case-folding or NFC changes beyond lower case: the word index may not know their words."""
BATCH_POINTS: Final = 256
BATCH_BYTES: Final = 8 * 1024 * 1024
"""Of one request; a server takes 32 MB unless told otherwise."""
_INLINE: Final = 8
_BYTES_A_NUMBER: Final = 22
"""A float32 as JSON."""


def stored_payload(item: EmbeddedMemory, revision: int) -> dict[str, Any]:
    payload = to_payload(item.memory) | {"revision": revision}
    if normalise_for_matching(item.memory.content) != item.memory.content.lower():
        payload[FOLDED] = True
    return payload


def check_dimensions(items: Sequence[EmbeddedMemory], expected: int) -> None:
    """Raises DimensionMismatchError for the first vector of another size."""
    for item in items:
        if item.vector.shape != (expected,):
            raise DimensionMismatchError(expected=expected, got=item.vector.size)


async def to_points(
    items: Sequence[EmbeddedMemory], payloads: Sequence[dict[str, Any]], name: str
) -> list[PointStruct]:
    """Points with dense and sparse vectors; many texts are counted in a thread, so that nobody waits for them."""
    if len(items) <= _INLINE and sum(len(item.memory.content) for item in items) < 10_000:
        return _points(items, payloads, name)
    return await asyncio.to_thread(_points, items, payloads, name)


def _points(items: Sequence[EmbeddedMemory], payloads: Sequence[dict[str, Any]], name: str) -> list[PointStruct]:
    from qdrant_client.models import PointStruct  # noqa: PLC0415

    bm25 = Bm25()
    return [
        PointStruct(
            id=item.memory.id,
            vector={name: item.vector.tolist(), SPARSE_NAME: sparse(*bm25.document(item.memory.content))},
            payload=payload,
        )
        for item, payload in zip(items, payloads, strict=True)
    ]


def sparse(indices: list[int], values: list[float]) -> Any:
    from qdrant_client.models import SparseVector  # noqa: PLC0415

    return SparseVector(indices=indices, values=values)


def batches(items: Sequence[EmbeddedMemory]) -> Iterator[Sequence[EmbeddedMemory]]:
    """Slices that a request holds, by number and by size; one memory larger than that goes alone."""
    start, size = 0, 0
    for position, item in enumerate(items):
        memory = item.memory
        here = len(memory.content) * 4 + len(json.dumps(memory.metadata)) + item.vector.size * _BYTES_A_NUMBER
        if position > start and (position - start >= BATCH_POINTS or size + here > BATCH_BYTES):
            yield items[start:position]
            start, size = position, 0
        size += here
    if start < len(items):
        yield items[start:]


def to_embedded(record: Record, name: str) -> EmbeddedMemory:
    vectors: Any = record.vector
    dense = vectors.get(name) if isinstance(vectors, Mapping) else None
    return EmbeddedMemory(
        from_payload(record.payload or {}), np.asarray(dense if dense is not None else [], dtype=np.float32)
    )
