"""Sizes and state of a collection.

Bytes come from Qdrant's own memory report of the collection (`GET /collections/<name>/memory`: file sizes; heap that can't be
evicted; resident pages of mapped files), summed over the shards that the answering node can see, one replica of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_memory.domain.errors import StorageError
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.storage.base import StorageStats
from mcp_memory.storage.qdrant_server.failures import CollectionGoneError
from mcp_memory.storage.qdrant_server.lifecycle import OpenCollection
from mcp_memory.storage.qdrant_server.reads import Reads
from mcp_memory.storage.qdrant_server.tuning import INDEX_FROM

if TYPE_CHECKING:
    from qdrant_client.models import CollectionInfo


async def read_stats(reads: Reads, collection: OpenCollection) -> StorageStats:
    count = await reads.count(EVERYTHING)
    info = await reads.connection.run(lambda client: client.get_collection(reads.alias), "collection figures")
    report = await _report(reads)
    total = report["total"]
    waiting = is_waiting(info)
    indexed = await _indexed(reads, collection) if waiting or count >= INDEX_FROM else 0
    details = {
        "index": "hnsw" if indexed else "flat",
        "hnsw_m": info.config.hnsw_config.m if indexed else None,
        "hnsw_vectors": indexed,
        "quantization": collection.quantization,
        "oversampling": None if collection.quantization is None else collection.oversampling,
        "ef": collection.ef,
        "exact": collection.exact,
        "collection": collection.name,
        "status": str(info.status.value),
        "segments": info.segments_count,
        "shards": collection.shards,
        "replication_factor": info.config.params.replication_factor or 1,
        "quantized_ram_bytes": _quantized(report, reads.options.model.vector_name),
        "page_cache_bytes": total["cached_bytes"],
    }
    return StorageStats(
        vectors_count=count,
        indexed_vectors_count=min(indexed, count) if waiting else count,
        disk_data_size=int(total["disk_bytes"]),
        ram_data_size=int(total["ram_bytes"] + total["cached_bytes"]),
        details=details,
    )


def is_waiting(info: CollectionInfo) -> bool:
    """Whether an optimization runs or is due: green means that what should be indexed is."""
    return str(info.status.value) != "green"


async def _report(reads: Reads) -> dict[str, Any]:
    report: dict[str, Any] = await reads.connection.get_json(
        "/collections/{name}/memory", "the memory report", name=reads.alias
    )
    return report


def _quantized(report: dict[str, Any], name: str) -> int:
    found = [one.get("quantized") or {} for one in report["vectors"] if one["name"] == name]
    return sum(int(one.get("ram_bytes", 0)) + int(one.get("cached_bytes", 0)) for one in found)


async def _indexed(reads: Reads, collection: OpenCollection) -> int:
    """Dense vectors in a graph: from telemetry, by the vector's name, since the collection's own figure counts sparse ones too.

    Of a cluster, the shards on the answering node are counted and scaled up to all of them.
    """
    answer = await reads.connection.get_json("/telemetry?details_level=6", "telemetry")
    name = reads.options.model.vector_name
    found = [one for one in answer.get("collections", {}).get("collections", []) if one.get("id") == collection.name]
    local = [shard["local"] for one in found for shard in one.get("shards") or [] if shard.get("local")]
    indexed = sum(
        segment["info"]["vector_data"].get(name, {}).get("num_indexed_vectors", 0)
        for shard in local
        for segment in shard.get("segments") or []
    )
    return indexed * collection.shards // len(local) if local else 0


async def check_answering(reads: Reads) -> None:
    """One real, cheap query against the collection. Raises StorageError."""
    try:
        await reads.newest(EVERYTHING, limit=1, keys=[])
    except CollectionGoneError as error:
        raise StorageError(f"Collection '{reads.alias}' not found on Qdrant at {reads.options.where}.") from error
