"""What a collection is made of: vectors, indexes, parameters, and the metadata that tells whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcp_memory.domain.model import ModelIdentity
from mcp_memory.storage.analysis import VERSION as TERMS_VERSION
from mcp_memory.storage.bm25 import SETTINGS as BM25_SETTINGS
from mcp_memory.storage.bm25 import SPARSE_NAME
from mcp_memory.storage.payload import SUPERSEDED_KEY
from mcp_memory.storage.qdrant_server import tuning
from mcp_memory.storage.qdrant_server.points import FOLDED

if TYPE_CHECKING:
    from qdrant_client.models import CollectionInfo, QuantizationConfig

    from mcp_memory.storage.qdrant_server.options import ServerOptions

PRODUCT: Final = "mcp-memory"
VERSION: Final = 1
OVERSAMPLING: Final = 4.0
"""The least that is used; what measured recall asks for is kept with the collection."""
BINARY: Final = "binary"
TERMS: Final = "terms"
"""In the metadata. Releases that don't know it go on with such a collection."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a collection's metadata says about it."""

    model: ModelIdentity
    bm25: Mapping[str, object]
    version: int
    terms: int
    """Version of the terms that every memory has (storage/analysis.py)."""

    @classmethod
    def of(cls, model: ModelIdentity) -> Identity:
        return cls(model, dict(BM25_SETTINGS), VERSION, TERMS_VERSION)

    def to_metadata(self) -> dict[str, Any]:
        return {
            "product": PRODUCT,
            "schema_version": self.version,
            "model": {
                "name": self.model.name,
                "dimensions": self.model.dimensions,
                "fingerprint": self.model.fingerprint,
            },
            "bm25": dict(self.bm25),
            TERMS: self.terms,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any] | None) -> Identity | None:
        """None where the metadata isn't ours."""
        if not metadata or metadata.get("product") != PRODUCT:
            return None
        model = metadata["model"]
        identity = ModelIdentity(model["name"], int(model["dimensions"]), model["fingerprint"])
        return cls(
            identity,
            dict(metadata.get("bm25") or {}),
            int(metadata["schema_version"]),
            int(metadata.get(TERMS) or 1),
        )


def vectors(model: ModelIdentity, options: ServerOptions) -> dict[str, Any]:
    """The dense vector, named for its model. Originals lie on disk where a quantized copy is in RAM."""
    from qdrant_client import models  # noqa: PLC0415

    memory = models.Memory.COLD if options.quantization else models.Memory.CACHED
    return {
        model.vector_name: models.VectorParams(size=model.dimensions, distance=models.Distance.COSINE, memory=memory)
    }


def sparse_vectors() -> dict[str, Any]:
    from qdrant_client import models  # noqa: PLC0415

    return {SPARSE_NAME: models.SparseVectorParams(modifier=models.Modifier.IDF)}


def quantization(kind: str) -> QuantizationConfig:
    """Quantized vectors stay in RAM. Binary: one bit a dimension, queries at eight (recall@10 .963 against .853 at 50,000)."""
    from qdrant_client import models  # noqa: PLC0415

    pinned = models.Memory.PINNED
    if kind == BINARY:
        return models.BinaryQuantization(
            binary=models.BinaryQuantizationConfig(
                encoding=models.BinaryQuantizationEncoding.ONE_BIT,
                query_encoding=models.BinaryQuantizationQueryEncoding.SCALAR8BITS,
                memory=pinned,
            )
        )
    if kind == "int8":
        return models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, memory=pinned)
        )
    bits = {"turbo2": models.TurboQuantBitSize.BITS2, "turbo4": models.TurboQuantBitSize.BITS4}[kind]
    return models.TurboQuantization(turbo=models.TurboQuantQuantizationConfig(bits=bits, memory=pinned))


def quantization_kind(info: CollectionInfo, vector_name: str) -> str | None:
    """The kind that a collection has, None for none or one that isn't ours."""
    dense = info.config.params.vectors
    own = dense.get(vector_name) if isinstance(dense, Mapping) else None
    config = (own.quantization_config if own is not None else None) or info.config.quantization_config
    if config is None:
        return None
    found = config.model_dump(exclude_none=True)
    if "binary" in found:
        return BINARY
    if "scalar" in found:
        return "int8"
    return {"bits2": "turbo2", "bits4": "turbo4"}.get(str(found.get("turbo", {}).get("bits", "")).lower())


def parameters(options: ServerOptions, *, memories: int = 0, shards: int = 1) -> dict[str, Any]:
    """Arguments of create_collection and update_collection that follow from size: graph, optimizer, quantization."""
    from qdrant_client import models  # noqa: PLC0415

    return {
        "hnsw_config": models.HnswConfigDiff(
            m=tuning.hnsw_m(memories),
            ef_construct=tuning.EF_CONSTRUCT,
            full_scan_threshold=tuning.FULL_SCAN_KILOBYTES,
        ),
        "optimizers_config": models.OptimizersConfigDiff(
            default_segment_number=tuning.SEGMENTS,
            indexing_threshold=tuning.indexing_kilobytes(options.model.dimensions, shards),
        ),
    }


def payload_storage(options: ServerOptions) -> Any:
    from qdrant_client import models  # noqa: PLC0415

    return models.PayloadStorageParams(memory=models.Memory.COLD if options.on_disk_payload else models.Memory.CACHED)


def payload_indexes() -> dict[str, Any]:
    """Indexes that exist before the first point: without them filters silently lose results and order_by fails."""
    from qdrant_client import models  # noqa: PLC0415

    keyword, floating, integer = (
        models.PayloadSchemaType.KEYWORD,
        models.PayloadSchemaType.FLOAT,
        models.PayloadSchemaType.INTEGER,
    )
    words = models.TextIndexParams(
        type=models.TextIndexType.TEXT,
        tokenizer=models.TokenizerType.WORD,
        lowercase=True,
        memory=models.Memory.COLD,
        enable_hnsw=False,
    )
    return {
        "tags": keyword,
        "memory_type": keyword,
        "content_hash": models.KeywordIndexParams(
            type=models.KeywordIndexType.KEYWORD, memory=models.Memory.COLD, enable_hnsw=False
        ),
        "store": keyword,
        SUPERSEDED_KEY: keyword,
        "created_at": floating,
        "updated_at": floating,
        "revision": integer,
        "content": words,
        FOLDED: models.PayloadSchemaType.BOOL,
    }
