"""Which collection stands behind the alias: made once, found again, never made a second time in silence.

A small collection without points, `<alias>_state`, keeps in its metadata that the alias has stood for a collection. Creating it
is atomic, so it also decides between services that start at the same moment: the first one's model is the collection's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcp_memory.domain.errors import ModelChangedError, StorageFormatError
from mcp_memory.storage.qdrant_server import schema, tuning
from mcp_memory.storage.qdrant_server.adoption import adopt
from mcp_memory.storage.qdrant_server.catalog import Catalog
from mcp_memory.storage.qdrant_server.connection import Connection
from mcp_memory.storage.qdrant_server.schema import Identity
from mcp_memory.storage.qdrant_server.versions import check_version

if TYPE_CHECKING:
    from qdrant_client.models import CollectionInfo

    from mcp_memory.domain.model import ModelIdentity
    from mcp_memory.storage.qdrant_server.options import ServerOptions

log = logging.getLogger(__name__)

CREATING: Final = "creating"
CREATED: Final = "created"
_LOOKS: Final = 20
_PAUSE: Final = 0.25
"""Between two looks at an alias that another node may not know yet: five seconds in all."""


@dataclass(frozen=True, slots=True)
class OpenCollection:
    """What stands behind the alias."""

    name: str
    shards: int
    quantization: str | None
    oversampling: float
    m: int
    ef: int = tuning.SEARCH_EF
    exact: bool = False
    """Every vector is compared: no other effort reached the recall that is wanted."""


def state_name(alias: str) -> str:
    """The collection that remembers whether the alias ever stood for one."""
    return f"{alias}_state"


def physical_name(alias: str, model: ModelIdentity) -> str:
    return f"{alias}_model_{model.hash8}"


async def open_collection(connection: Connection, options: ServerOptions, *, seen: bool = False) -> OpenCollection:
    """The collection behind the alias, created where there never was one; `seen`: this process knows that there was.

    Raises ModelChangedError, StorageFormatError for one that is gone or isn't ours, StorageUnavailableError.
    """
    catalog = Catalog(connection, options)
    check_version(await catalog.version(), connection.address)
    name = (await catalog.aliases()).get(options.alias)
    if name is None and options.alias in await catalog.names():
        name = options.alias
    if name is None:
        name = await _create(catalog, options, seen=seen or not options.managed)
    info = await catalog.info(name)
    if info is None:
        raise _gone(options, name)
    if Identity.from_metadata(info.config.metadata) is None:
        await adopt(connection, catalog, options, name, info)
        info = await catalog.info(name) or info
    await _check(catalog, options, name, info)
    if options.managed:
        await _remember(catalog, options, name)
    return _described(name, info, options)


async def _create(catalog: Catalog, options: ServerOptions, *, seen: bool) -> str:
    """Name of the first collection, made by us or by whoever was first."""
    if seen:
        raise _gone(options, None)
    mine = Identity.of(options.model)
    name = physical_name(options.alias, options.model)
    await catalog.create(
        state_name(options.alias),
        vectors_config={},
        replication_factor=options.replication_factor,
        metadata=mine.to_metadata() | {"state": CREATING, "collection": name},
    )
    for _ in range(_LOOKS):
        state = await _state(catalog, options)
        present = (await catalog.aliases()).get(options.alias)
        if present is not None:
            return present
        if state and state["state"] == CREATING:
            first = Identity.from_metadata(state)
            if first is not None:
                return await _finish(catalog, options, str(state["collection"]), first)
        await asyncio.sleep(_PAUSE)
    raise _gone(options, str(state["collection"]) if state else None)


async def _finish(catalog: Catalog, options: ServerOptions, name: str, identity: Identity) -> str:
    """Make the collection that the state names; every step may have been done before, by us or by others."""
    created = await create_collection(catalog, options, name, identity)
    await catalog.point_alias(options.alias, name)
    if created:
        log.info("collection '%s' created on Qdrant at %s for the alias '%s'", name, options.where, options.alias)
    return name


async def create_collection(
    catalog: Catalog, options: ServerOptions, name: str, identity: Identity, *, memories: int = 0
) -> bool:
    """A collection with its indexes, for that many memories; False where it was there (its indexes are made all the same)."""
    cluster = {
        "shard_number": options.shard_number,
        "replication_factor": options.replication_factor,
        "write_consistency_factor": options.write_consistency_factor,
    }
    created = await catalog.create(
        name,
        vectors_config=schema.vectors(identity.model, options),
        sparse_vectors_config=schema.sparse_vectors(),
        payload=schema.payload_storage(options),
        quantization_config=schema.quantization(options.quantization_kind) if options.quantization else None,
        metadata=identity.to_metadata(),
        **schema.parameters(options, memories=memories, shards=options.shard_number or 1),
        **{key: value for key, value in cluster.items() if value is not None},
    )
    await catalog.create_indexes(name, schema.payload_indexes())
    return created


async def _check(catalog: Catalog, options: ServerOptions, name: str, info: CollectionInfo) -> None:
    """Raises unless the collection is ours, of this model and of a version that is known; adds indexes that are missing."""
    identity = Identity.from_metadata(info.config.metadata)
    if identity is None:
        raise StorageFormatError(f"Collection '{name}' on Qdrant at {options.where} has lost its metadata.")
    if identity.version > schema.VERSION:
        raise StorageFormatError(
            f"Collection '{name}' on Qdrant at {options.where} has schema version {identity.version}; this release knows "
            f"{schema.VERSION}. It was left as it is.\nInstall the release that wrote it, or a newer one."
        )
    model = identity.model
    if model.fingerprint != options.model.fingerprint or model.dimensions != options.model.dimensions:
        raise ModelChangedError(
            old_model=model.name,
            new_model=options.model.name,
            old_dimensions=model.dimensions,
            new_dimensions=options.model.dimensions,
            old_fingerprint=model.fingerprint,
        )
    if identity.bm25 != Identity.of(options.model).bm25:
        raise StorageFormatError(
            f"Collection '{name}' on Qdrant at {options.where} has keyword vectors of other settings: {dict(identity.bm25)}. "
            "It was left as it is.\nInstall the release that wrote it."
        )
    missing = {
        field: kind for field, kind in schema.payload_indexes().items() if field not in (info.payload_schema or {})
    }
    if missing:
        await catalog.create_indexes(name, missing)


async def _remember(catalog: Catalog, options: ServerOptions, name: str) -> None:
    """Note outside the collection that it is there."""
    state = await _state(catalog, options)
    if state is not None and state.get("state") == CREATED and state.get("collection") == name:
        return
    metadata = Identity.of(options.model).to_metadata() | {"state": CREATED, "collection": name}
    if state is None:
        created = await catalog.create(
            state_name(options.alias),
            vectors_config={},
            replication_factor=options.replication_factor,
            metadata=metadata,
        )
        if created:
            return
    await catalog.change(state_name(options.alias), metadata=metadata)


async def _state(catalog: Catalog, options: ServerOptions) -> Mapping[str, Any] | None:
    info = await catalog.info(state_name(options.alias))
    if info is None:
        return None
    metadata = info.config.metadata or {}
    if metadata.get("product") != schema.PRODUCT or "state" not in metadata:
        raise StorageFormatError(
            f"Qdrant at {options.where} has a collection '{state_name(options.alias)}' that isn't this service's. "
            "It was left as it is.\nSet MCP_QDRANT_COLLECTION to another name."
        )
    return metadata


def _described(name: str, info: CollectionInfo, options: ServerOptions) -> OpenCollection:
    metadata = info.config.metadata or {}
    kind = schema.quantization_kind(info, options.model.vector_name)
    return OpenCollection(
        name=name,
        shards=info.config.params.shard_number or 1,
        quantization=kind,
        oversampling=max(schema.OVERSAMPLING, float(metadata.get("oversampling") or 0.0)),
        m=info.config.hnsw_config.m,
        ef=max(tuning.SEARCH_EF, int(metadata.get("ef") or 0)),
        exact=bool(metadata.get("exact")),
    )


def _gone(options: ServerOptions, name: str | None) -> StorageFormatError:
    was = f" (collection '{name}')" if name else ""
    return StorageFormatError(
        f"Collection '{options.alias}' not found: Qdrant at {options.where} once had it{was}, and it is gone. "
        "Nothing was created in its place.\n"
        "Check that MCP_QDRANT_URL names the right server and that its storage volume is mounted; restore a backup with "
        "'memory restore'.\nTo begin an empty one on purpose: memory drop, then memory init"
    )
