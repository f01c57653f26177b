"""Collections, aliases and metadata on a server: short calls that may be repeated."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcp_memory.storage.qdrant_server.connection import Connection
from mcp_memory.storage.qdrant_server.failures import AlreadyThereError, CollectionGoneError

if TYPE_CHECKING:
    from qdrant_client.models import CollectionInfo

    from mcp_memory.storage.qdrant_server.options import ServerOptions


class Catalog:
    """What stands on the server. Creating what is there, and deleting what isn't, does nothing."""

    def __init__(self, connection: Connection, options: ServerOptions) -> None:
        self._connection = connection
        self._options = options
        self._seconds = math.ceil(options.timeout)

    async def version(self) -> str:
        return (await self._connection.run(lambda client: client.info(), "its version")).version

    async def names(self) -> set[str]:
        """Collections, without aliases."""
        found = await self._connection.run(lambda client: client.get_collections(), "the list of collections")
        return {collection.name for collection in found.collections}

    async def aliases(self) -> dict[str, str]:
        """Collection by alias."""
        found = await self._connection.run(lambda client: client.get_aliases(), "the list of aliases")
        return {one.alias_name: one.collection_name for one in found.aliases}

    async def info(self, name: str) -> CollectionInfo | None:
        """None where there is no such collection or alias."""
        try:
            return await self._connection.run(lambda client: client.get_collection(name), f"collection '{name}'")
        except CollectionGoneError:
            return None

    async def create(self, name: str, **parameters: Any) -> bool:
        """False where the collection was there."""
        try:
            await self._connection.run(
                lambda client: client.create_collection(name, timeout=self._seconds, **parameters),
                f"creating collection '{name}'",
            )
        except AlreadyThereError:
            return False
        return True

    async def change(self, name: str, **parameters: Any) -> None:
        await self._connection.run(
            lambda client: client.update_collection(name, timeout=self._seconds, **parameters),
            f"changing collection '{name}'",
        )

    async def create_indexes(self, name: str, indexes: Mapping[str, Any], *, seconds: float | None = None) -> None:
        """All at once; each waits until what is stored has been indexed."""
        limit = self._options.timeout if seconds is None else seconds

        async def create(field: str, schema: Any) -> None:
            await self._connection.write(
                lambda client: client.create_payload_index(name, field, schema, wait=True, timeout=math.ceil(limit)),
                f"indexing '{field}' of collection '{name}'",
                seconds=limit,
            )

        await asyncio.gather(*(create(field, schema) for field, schema in indexes.items()))

    async def point_alias(self, alias: str, name: str) -> None:
        """Make the alias, or repoint it: one atomic write."""
        from qdrant_client import models  # noqa: PLC0415

        operation = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=name, alias_name=alias))
        await self._connection.run(
            lambda client: client.update_collection_aliases([operation], timeout=self._seconds),
            f"pointing '{alias}' to collection '{name}'",
        )

    async def remove_alias(self, alias: str) -> None:
        from qdrant_client import models  # noqa: PLC0415

        if alias not in await self.aliases():
            return
        operation = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
        await self._connection.run(
            lambda client: client.update_collection_aliases([operation], timeout=self._seconds),
            f"removing the alias '{alias}'",
        )

    async def delete(self, name: str) -> None:
        """Delete a collection with its points and its aliases."""
        await self._connection.run(
            lambda client: client.delete_collection(name, timeout=self._seconds), f"deleting collection '{name}'"
        )
