"""How a collection's shard is configured: which vectors lie where, quantized in which way, with or without a graph."""

from __future__ import annotations

import qdrant_edge as edge

from mcp_memory.storage.bm25 import SPARSE_NAME
from mcp_memory.storage.qdrant_embedded.manifest import Graph, Quantization

FULL_SCAN_KILOBYTES = 30_000
"""A filter that leaves less than this is scanned: with the graph, any-of filters had recall .585 at 10,000 and 1.0 at 30,000."""
TURBO = Quantization("turbo4", 2.0)
"""Invisible: recall@10 1.0 on 50,000 real sentences, since the candidates are rescored with the originals."""
BINARY = Quantization("binary", 4.0)


def shard_config(
    vector_name: str, dimensions: int, quantization: Quantization, graph: Graph | None, *, on_disk_payload: bool
) -> edge.EdgeConfig:
    """Float16 originals on disk, quantized vectors in RAM; no graph (m = 0) unless one is asked for."""
    m, ef_construct = (0, 100) if graph is None else (graph.m, graph.ef_construct)
    hnsw = edge.HnswIndexConfig(m, ef_construct, FULL_SCAN_KILOBYTES)
    dense = edge.EdgeVectorParams(
        dimensions,
        edge.Distance.Cosine,
        datatype=edge.VectorStorageDatatype.Float16,
        memory=edge.Memory.Cold,
        quantization_config=_quantization_config(quantization, graph),
        hnsw_config=hnsw,
    )
    return edge.EdgeConfig(
        vectors={vector_name: dense},
        sparse_vectors={SPARSE_NAME: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        hnsw_config=hnsw,
        optimizers=None if graph is None else edge.EdgeOptimizersConfig(indexing_threshold=1, default_segment_number=1),
        payload_memory=edge.Memory.Cold if on_disk_payload else edge.Memory.Cached,
        wal_enabled=True,
    )


def _quantization_config(
    quantization: Quantization, graph: Graph | None
) -> edge.TurboQuantQuantizationConfig | edge.BinaryQuantizationConfig:
    """Quantized vectors stay in RAM once a collection is large enough for a graph.

    Before, they are read as searches need them: the engine keeps them in files of 32 MB, and pinning would make all of that
    resident for a store of a few memories (98 MB against 65 after loading).
    """
    memory = edge.Memory.Cold if graph is None else edge.Memory.Pinned
    if quantization.kind == "binary":
        return edge.BinaryQuantizationConfig(
            encoding=edge.BinaryQuantizationEncoding.OneBit,
            query_encoding=edge.BinaryQuantizationQueryEncoding.Scalar8Bits,
            memory=memory,
        )
    return edge.TurboQuantQuantizationConfig(bits=edge.TurboQuantBitSize.Bits4, memory=memory)
