"""Deleting a collection on purpose, so that the next start begins an empty one."""

from __future__ import annotations

from mcp_memory.storage.qdrant_server.catalog import Catalog
from mcp_memory.storage.qdrant_server.connection import Connection
from mcp_memory.storage.qdrant_server.lifecycle import state_name
from mcp_memory.storage.qdrant_server.options import ServerOptions


async def stored_count(options: ServerOptions) -> int:
    """How many memories stand behind the alias. Raises StorageUnavailableError."""
    connection = Connection(options)
    connection.open()
    try:
        catalog = Catalog(connection, options)
        target = (await catalog.aliases()).get(options.alias, options.alias)
        if target not in await catalog.names():
            return 0
        answer = await connection.run(lambda client: client.count(target, exact=True), "counting memories")
        return answer.count
    finally:
        await connection.close()


async def drop_collection(options: ServerOptions) -> list[str]:
    """Delete what stands behind the alias with all its memories, then the note that it was there; names of what was deleted.

    Backups made by model changes (`<alias>_backup_...`) stay. Raises StorageUnavailableError.
    """
    connection = Connection(options)
    connection.open()
    try:
        catalog = Catalog(connection, options)
        names = await catalog.names()
        target = (await catalog.aliases()).get(options.alias, options.alias)
        doomed = [name for name in (target, state_name(options.alias)) if name in names]
        for name in doomed:
            await catalog.delete(name)
        return doomed
    finally:
        await connection.close()
