"""When a new generation pays, and of what kind."""

from __future__ import annotations

import time

import msgspec

from mcp_memory.storage.analysis import VERSION as TERMS_VERSION
from mcp_memory.storage.qdrant_embedded.manifest import Graph, Manifest, Quantization

EF_CONSTRUCT = 100
GROWTH = 1.5
"""The graph is built anew when the collection has this many times the memories that are in it; the others are scanned."""
MANY_SEGMENTS = 16
"""Each death of an engine leaves a segment; from so many on they are merged."""


class Plan(msgspec.Struct, frozen=True):
    """The next generation. A number is never used twice: a builder whose engine died may still be writing."""

    generation: int
    quantization: Quantization
    graph: Graph | None
    reason: str


def connections(count: int) -> int:
    """HNSW's m by size, as the user guide gives it."""
    return next((m for limit, m in ((10_000, 16), (100_000, 24), (1_000_000, 32)) if count < limit), 48)


def next_generation(
    manifest: Manifest, *, count: int, segments: int, graph_threshold: int, quantization: Quantization
) -> Plan | None:
    """The generation that this collection should have, or None where it is as it should be."""
    built = 0 if manifest.graph is None else manifest.graph.vectors
    wants_graph = 0 < graph_threshold <= count
    if quantization.kind != manifest.quantization.kind:
        reason = f"quantization changes from {manifest.quantization.kind} to {quantization.kind}"
    elif wants_graph and count >= GROWTH * built:
        reason = f"a graph over {count:,} memories instead of {built:,}"
    elif manifest.terms < TERMS_VERSION:
        reason = "keyword search finds more words: the terms of all memories are counted anew"
    elif segments >= MANY_SEGMENTS:
        reason = f"{segments} segments are merged"
    else:
        return None
    graph = Graph(connections(count), EF_CONSTRUCT, count) if wants_graph else None
    return Plan(max(manifest.generation + 1, int(time.time())), quantization, graph, reason)
