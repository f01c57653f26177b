"""A collection that this service did not make: taken over where its points are memories, refused by name otherwise."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mcp_memory.domain.errors import ModelChangedError, StorageFormatError
from mcp_memory.domain.memory import point_id
from mcp_memory.storage.bm25 import SPARSE_NAME, Bm25
from mcp_memory.storage.payload import from_payload, to_microseconds
from mcp_memory.storage.qdrant_server import schema
from mcp_memory.storage.qdrant_server.points import sparse
from mcp_memory.storage.qdrant_server.schema import Identity

if TYPE_CHECKING:
    from qdrant_client.models import CollectionInfo, Record

    from mcp_memory.storage.qdrant_server.catalog import Catalog
    from mcp_memory.storage.qdrant_server.connection import Connection
    from mcp_memory.storage.qdrant_server.options import ServerOptions

log = logging.getLogger(__name__)
SAMPLE: Final = 100
BATCH: Final = 256
LONG_SECONDS: Final = 3600.0


async def adopt(
    connection: Connection, catalog: Catalog, options: ServerOptions, name: str, info: CollectionInfo
) -> None:
    """Add what the collection lacks: vectors, indexes, metadata, in this order, so that an interruption begins again.

    Vectors of the right size are taken for this model's, since nothing tells whose they are. Raises StorageFormatError for a
    collection of something else, ModelChangedError for vectors of another size.
    """
    sample = await _page(connection, name, None, SAMPLE, vectors=False)
    stranger = next((record for record in sample if not _ours(record)), None)
    if stranger is not None:
        raise StorageFormatError(
            f"Qdrant at {options.where} has a collection '{name}' that isn't a memory store (point {stranger.id}). "
            "It was left as it is.\nSet MCP_QDRANT_COLLECTION to another name."
        )
    source = _source(options, info, empty=not sample)
    present = info.config.params.vectors
    await _add_vectors(connection, options, name, present if isinstance(present, Mapping) else {}, info)
    await catalog.create_indexes(name, schema.payload_indexes(), seconds=LONG_SECONDS)
    if sample:
        await _fill(connection, options, name, source)
    await catalog.change(name, metadata=Identity.of(options.model).to_metadata())
    log.info("collection '%s' on Qdrant at %s adopted", name, options.where)


def _ours(record: Record) -> bool:
    try:
        memory = from_payload(record.payload or {})
    except (KeyError, TypeError, ValueError):
        return False
    return str(record.id) == point_id(memory.content_hash)


def _source(options: ServerOptions, info: CollectionInfo, *, empty: bool) -> str | None:
    """The vector that holds what ours should: its name, "" for the unnamed one, None where nothing needs copying."""
    dense = info.config.params.vectors
    found: dict[str, Any] = dict(dense) if isinstance(dense, Mapping) else {} if dense is None else {"": dense}
    if options.model.vector_name in found or empty:
        return None
    fitting = [name for name, params in found.items() if params.size == options.model.dimensions]
    if fitting:
        return fitting[0]
    raise ModelChangedError(
        old_model="unknown",
        new_model=options.model.name,
        old_dimensions=next((params.size for params in found.values()), 0),
        new_dimensions=options.model.dimensions,
    )


async def _add_vectors(
    connection: Connection, options: ServerOptions, name: str, present: Mapping[str, Any], info: CollectionInfo
) -> None:
    from qdrant_client import models  # noqa: PLC0415

    wanted: dict[str, Any] = {}
    if options.model.vector_name not in present:
        wanted[options.model.vector_name] = models.DenseVectorNameConfig(
            dense=models.DenseVectorConfig(size=options.model.dimensions, distance=models.Distance.COSINE)
        )
    if SPARSE_NAME not in (info.config.params.sparse_vectors or {}):
        wanted[SPARSE_NAME] = models.SparseVectorNameConfig(
            sparse=models.SparseVectorConfig(modifier=models.Modifier.IDF)
        )
    for vector, config in wanted.items():
        await connection.write(
            lambda client, vector=vector, config=config: client.create_vector_name(  # type: ignore[misc]
                name, vector, config, wait=True, timeout=int(LONG_SECONDS)
            ),
            f"adding vector '{vector}' to collection '{name}'",
            seconds=LONG_SECONDS,
        )


async def _fill(connection: Connection, options: ServerOptions, name: str, source: str | None) -> None:
    """Write the vectors that were added, batch by batch."""
    from qdrant_client import models  # noqa: PLC0415

    bm25, after, done = Bm25(), None, 0
    while records := await _page(connection, name, after, BATCH, vectors=source is not None):
        points = []
        for record in records:
            if not _ours(record):
                raise StorageFormatError(
                    f"Qdrant at {options.where} has a collection '{name}' with a point that isn't a memory: {record.id}. "
                    "Set MCP_QDRANT_COLLECTION to another name."
                )
            indices, values = bm25.document((record.payload or {})["content"])
            vectors: dict[str, Any] = {SPARSE_NAME: sparse(indices, values)}
            if source is not None:
                given: Any = record.vector
                vectors[options.model.vector_name] = given[source] if isinstance(given, Mapping) else given
            points.append(models.PointVectors(id=record.id, vector=vectors))
        await _round_times(connection, name, records)
        await connection.write(
            lambda client, points=points: client.update_vectors(name, points, wait=True),  # type: ignore[misc]
            f"adding vectors to {len(points)} memories",
        )
        after, done = str(records[-1].id), done + len(records)
        log.info("adopting collection '%s': %d memories", name, done)


async def _round_times(connection: Connection, name: str, records: list[Record]) -> None:
    """Times to the microsecond, as listings expect."""
    from qdrant_client import models  # noqa: PLC0415

    changes: list[Any] = []
    for record in records:
        payload = record.payload or {}
        times = {key: to_microseconds(payload[key]) for key in ("created_at", "updated_at")}
        if any(payload[key] != value for key, value in times.items()):
            change = models.SetPayload(payload=times, points=[record.id])
            changes.append(models.SetPayloadOperation(set_payload=change))
    if changes:
        await connection.run(
            lambda client: client.batch_update_points(name, changes, wait=True), f"rounding {len(changes)} times"
        )


async def _page(connection: Connection, name: str, after: str | None, limit: int, *, vectors: bool) -> list[Record]:
    records, _ = await connection.run(
        lambda client: client.scroll(name, limit=limit + 1, offset=after, with_payload=True, with_vectors=vectors),
        f"reading collection '{name}'",
    )
    return [record for record in records if str(record.id) != after][:limit]
