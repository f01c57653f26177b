"""Collections that take each other's place on a server: physical collections, and aliases that are repointed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from mcp_memory.domain.errors import NothingStoredError, StorageError, StorageFormatError
from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.storage.base import BaseStorage, opened
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.catalog import Catalog
from mcp_memory.storage.qdrant_server.connection import Connection
from mcp_memory.storage.qdrant_server.lifecycle import CREATED, create_collection, physical_name, state_name
from mcp_memory.storage.qdrant_server.points import stored_payload, to_points
from mcp_memory.storage.qdrant_server.schema import Identity
from mcp_memory.storage.succession import StoredCollection, backup_prefix, new_name, new_prefix

if TYPE_CHECKING:
    from mcp_memory.storage.qdrant_server.options import ServerOptions

ANY_MODEL: Final = ModelIdentity("", 0, "")
"""For what is done to collections of whichever model."""


class ServerSuccession:
    """See storage.succession. Repointing an alias is one atomic write, so that every step leaves the old or the new."""

    shared = True

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._connection = Connection(options)
        self._catalog = Catalog(self._connection, options)

    @property
    def address(self) -> str:
        return f"{self._options.where_plain}#{self._options.alias}"

    @property
    def name(self) -> str:
        return self._options.alias

    async def __aenter__(self) -> Self:
        self._connection.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._connection.close()

    async def present(self) -> StoredCollection:
        place = (await self._catalog.aliases()).get(self.name)
        if place is not None:
            return await self._described(self.name, place)
        await self.stored_model()  # that there is such a collection
        plain = self._options.where_plain
        raise StorageError(
            f"'{self.name}' on Qdrant at {plain} is a collection of that name, not an alias, so nothing can take its place "
            "while it serves.\n"
            "Stop the service, and move its memories into one of another name, with the new model:\n"
            f"  memory migrate storage --source '{plain}#{self.name}' "
            f"--target '{plain}#{self.name}2' --reembed\n"
            f"then start it with MCP_QDRANT_COLLECTION={self.name}2"
        )

    async def stored_model(self) -> ModelIdentity:
        place = (await self._catalog.aliases()).get(self.name, self.name)
        if await self._catalog.info(place) is None:
            raise NothingStoredError(f"There is no collection '{self.name}' on Qdrant at {self._options.where_plain}.")
        return (await self._described(self.name, place)).model

    async def unfinished(self) -> Sequence[StoredCollection]:
        return await self._with_prefix(new_prefix(self.name))

    async def backups(self) -> Sequence[StoredCollection]:
        return await self._with_prefix(backup_prefix(self.name))

    async def _with_prefix(self, prefix: str) -> list[StoredCollection]:
        """Without the one that answers: a change that was cut off may have named it already."""
        aliases = await self._catalog.aliases()
        present = aliases.get(self.name)
        found = [
            await self._described(name, place)
            for name, place in aliases.items()
            if name.startswith(prefix) and place != present
        ]
        return sorted(found, key=lambda item: item.name.rsplit("_", 1)[-1])

    async def _described(self, name: str, place: str) -> StoredCollection:
        info = await self._catalog.info(place)
        identity = None if info is None else Identity.from_metadata(info.config.metadata)
        if identity is None:
            raise StorageFormatError(
                f"Collection '{place}' behind '{name}' on Qdrant at {self._options.where} doesn't tell its model.\n"
                "Start the service once with the model that made it."
            )
        return StoredCollection(name, identity.model, place)

    async def begin(self, model: ModelIdentity, *, memories: int) -> StoredCollection:
        name = new_name(self.name, model)
        aliases = await self._catalog.aliases()
        place = aliases.get(name)
        if place is None:
            place = physical_name(self.name, model)
            if place in aliases.values():  # a backup has the name
                place = f"{place}_{datetime.now(UTC):%Y%m%dT%H%M%S}"
            options = await self._as_present(aliases[self.name], model)
            await create_collection(self._catalog, options, place, Identity.of(model), memories=memories)
            await self._catalog.point_alias(name, place)
        return StoredCollection(name, model, place)

    async def _as_present(self, place: str, model: ModelIdentity) -> ServerOptions:
        """Shards and replicas as the collection that answers has them."""
        info = await self._catalog.info(place)
        options = replace(self._options, model=model)
        if info is None:
            return options
        params = info.config.params
        return replace(
            options,
            shard_number=params.shard_number or options.shard_number,
            replication_factor=params.replication_factor or options.replication_factor,
            write_consistency_factor=params.write_consistency_factor or options.write_consistency_factor,
        )

    def storage(self, collection: StoredCollection) -> BaseStorage:
        return QdrantServerStorage(
            replace(self._options, alias=collection.place, model=collection.model, managed=False)
        )

    @asynccontextmanager
    async def reading(self, collection: StoredCollection) -> AsyncIterator[BaseStorage]:
        storage = self.storage(collection)
        async with opened(storage):
            yield storage

    async def take_over(self, new: StoredCollection, *, backup: str) -> StoredCollection:
        aliases = await self._catalog.aliases()
        if new.place not in {aliases.get(new.name), aliases.get(self.name)}:  # it may come from a checkpoint
            raise StorageError(
                f"'{new.place}' on Qdrant at {self._options.where_plain} isn't the collection '{new.name}'.\n"
                "Nothing was changed. Start the change again without --resume."
            )
        before = await self._pointing_elsewhere(new, backup)
        await self._answer_from(new, backup, before)
        await self._catalog.remove_alias(new.name)
        return before

    async def roll_back(self, backup: StoredCollection, *, keep_as: str) -> StoredCollection:
        before = await self._pointing_elsewhere(backup, keep_as)
        await self._answer_from(backup, keep_as, before)
        await self._catalog.remove_alias(backup.name)
        return before

    async def _pointing_elsewhere(self, coming: StoredCollection, kept: str) -> StoredCollection:
        """The collection that answers now or, where `coming` does already, the one that was kept under that name."""
        aliases = await self._catalog.aliases()
        place = aliases[self.name]
        return await self._described(kept, aliases.get(kept, place) if place == coming.place else place)

    async def _answer_from(self, coming: StoredCollection, kept: str, before: StoredCollection) -> None:
        if before.place != coming.place:
            await self._catalog.point_alias(kept, before.place)
            await self._catalog.point_alias(self.name, coming.place)
        state = Identity.of(coming.model).to_metadata() | {"state": CREATED, "collection": coming.place}
        if not await self._catalog.create(state_name(self.name), vectors_config={}, metadata=state):
            await self._catalog.change(state_name(self.name), metadata=state)

    async def delete(self, collection: StoredCollection) -> None:
        if (await self._catalog.aliases()).get(self.name) == collection.place:
            raise StorageError(f"'{collection.name}' is the collection that answers: it isn't deleted.")
        await self._catalog.delete(collection.place)

    # See storage.succession.SupportsConditionalWrites

    async def replace_unchanged(
        self, collection: StoredCollection, items: Sequence[EmbeddedMemory], revisions: Mapping[str, int]
    ) -> None:
        from qdrant_client.models import UpdateMode, WriteOrdering  # noqa: PLC0415

        for item in items:
            id_ = item.memory.id
            points = await to_points([item], [stored_payload(item, item.memory.revision)], collection.model.vector_name)
            condition = _unchanged(id_, revisions[id_])
            await self._connection.write(
                lambda client, points=points, condition=condition: client.upsert(  # type: ignore[misc]
                    collection.place,
                    points,
                    wait=True,
                    update_mode=UpdateMode.UPDATE_ONLY,
                    update_filter=condition,
                    ordering=WriteOrdering.MEDIUM,
                ),
                "catching up a memory",
            )

    async def delete_unchanged(self, collection: StoredCollection, revisions: Mapping[str, int]) -> None:
        from qdrant_client.models import FilterSelector, WriteOrdering  # noqa: PLC0415

        for id_, revision in revisions.items():
            selector = FilterSelector(filter=_unchanged(id_, revision))
            await self._connection.write(
                lambda client, selector=selector: client.delete(  # type: ignore[misc]
                    collection.place, selector, wait=True, ordering=WriteOrdering.MEDIUM
                ),
                "catching up a deletion",
            )


def _unchanged(id_: str, revision: int) -> Any:
    from qdrant_client import models  # noqa: PLC0415

    same = models.FieldCondition(key="revision", match=models.MatchValue(value=revision))
    return models.Filter(must=[models.HasIdCondition(has_id=[id_]), same])
