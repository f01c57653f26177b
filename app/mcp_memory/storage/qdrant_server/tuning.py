"""Index parameters by a collection's size: pure arithmetic."""

from __future__ import annotations

from typing import Final

SEGMENTS: Final = 2
"""Segments that a shard aims at. New points go to the smallest, so that each holds half of what a shard holds."""
INDEX_FROM: Final = 20_000
"""Memories from which a graph is built."""
EF_CONSTRUCT: Final = 100
SEARCH_EF: Final = 128
FULL_SCAN_KILOBYTES: Final = 30_000
"""A filter that leaves less than this is scanned: with the graph, any-of filters had recall .585 at 10,000 and 1.0 at 30,000."""
_TIERS: Final = ((10_000, 16), (100_000, 24), (1_000_000, 32))
_LARGEST: Final = 48


def hnsw_m(memories: int) -> int:
    """Connections a node: 16 below 10,000 memories, 24 below 100,000, 32 up to a million, 48 beyond."""
    return next((m for limit, m in _TIERS if memories < limit), _LARGEST)


def indexing_kilobytes(dimensions: int, shards: int) -> int:
    """Qdrant's indexing_threshold, which counts kilobytes of float32 a segment, such that indexing begins at INDEX_FROM.

    20,000 vectors of 384 dimensions are 30,000 KB; two segments a shard share them.
    """
    return max(1, INDEX_FROM * dimensions * 4 // (1024 * SEGMENTS * shards))
