"""Where a migration reads and writes: a folder, a Qdrant server, an sqlite_vec database, as a person names them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_memory.addresses import checked_url
from mcp_memory.config import Backend, Settings, load_settings
from mcp_memory.container import build_storage, embedded_options, server_options
from mcp_memory.domain.errors import ConfigurationError, NothingStoredError, StorageFormatError
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.embedding.base import Embedder
from mcp_memory.embedding.embedder import EndpointEmbedder
from mcp_memory.migration.errors import MigrationRefusedError
from mcp_memory.migration.same_vectors import adopt
from mcp_memory.owner.exclusive import exclusive_use
from mcp_memory.owner.identity import identify
from mcp_memory.storage.base import BaseStorage
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder
from mcp_memory.storage.qdrant_embedded.succession import EmbeddedSuccession
from mcp_memory.storage.qdrant_server.succession import ServerSuccession
from mcp_memory.storage.succession import Succession

ANY_MODEL = ModelIdentity("", 0, "")
DATABASES = {".db", ".sqlite", ".sqlite3"}


@dataclass(frozen=True, slots=True)
class Place:
    """One store."""

    settings: Settings

    @classmethod
    def named(cls, name: str | None, *, option: str = "--storage", **overrides: Any) -> Place:
        """The store of this name: a folder, an sqlite_vec database, or a URL, whose `#fragment` is the collection.

        None: the one that the settings name. Raises ConfigurationError, naming the option, for what can't be an address.
        """
        if name is None:
            return cls(load_settings(**overrides))
        if "://" in name:
            _check_addresses(name, option)
            url, _, collection = name.partition("#")
            chosen: dict[str, Any] = {"collection": collection} if collection else {}
            return cls(load_settings(backend=Backend.QDRANT, qdrant_url=url, **chosen, **overrides))
        path = Path(name).expanduser().absolute()
        if path.is_file() or path.suffix in DATABASES:
            return cls(load_settings(backend=Backend.SQLITE_VEC, sqlite_path=path, qdrant_url=None, **overrides))
        return cls(load_settings(backend=Backend.QDRANT, qdrant_url=None, storage_path=path, **overrides))

    @property
    def address(self) -> str:
        """As it is shown and recorded: an absolute path, or the server's addresses without credentials, and the collection."""
        if self.settings.backend is Backend.SQLITE_VEC:
            return str(self.settings.sqlite_file.absolute())
        if self.settings.qdrant_urls:
            return f"{server_options(self.settings, ANY_MODEL).where_plain}#{self.settings.collection}"
        return str(self.settings.qdrant_path.absolute())

    @property
    def engine(self) -> str:
        """In a line for people."""
        return "sqlite-vec" if self.settings.backend is Backend.SQLITE_VEC else "Qdrant"

    @property
    def on_server(self) -> bool:
        return self.settings.backend is Backend.QDRANT and bool(self.settings.qdrant_urls)

    def storage(self, model: ModelIdentity) -> BaseStorage:
        return build_storage(self.settings, model)

    def succession(self) -> Succession:
        """Raises MigrationRefusedError for an sqlite_vec database, whose vectors have no successor beside them."""
        if self.settings.backend is Backend.SQLITE_VEC:
            raise MigrationRefusedError(
                f"{self.address} is a database of the sqlite_vec backend, which keeps one model's vectors.\n"
                "Move its memories to Qdrant with the new model:  memory migrate sqlite --source "
                f"'{self.address}' --reembed"
            )
        if self.settings.qdrant_urls:
            return ServerSuccession(server_options(self.settings, ANY_MODEL))
        return EmbeddedSuccession(embedded_options(self.settings, ANY_MODEL))

    async def stored_model(self) -> ModelIdentity | None:
        """The model of the vectors that are there; None where the place doesn't tell (sqlite_vec).

        Raises StorageError where there is no store.
        """
        if self.settings.backend is Backend.SQLITE_VEC:
            return None
        async with self.succession() as succession:
            return await succession.stored_model()

    async def adopt_stored(self, embedder: Embedder) -> None:
        """Let an endpoint's embedder go by the identity of the vectors that are here, where they are proven its own."""
        if not isinstance(embedder, EndpointEmbedder):
            return
        try:
            stored = await self.stored_model()
        except (NothingStoredError, StorageFormatError):
            return  # opening the place says what there is to say
        if stored is not None:
            await adopt(stored, self.storage(stored), embedder)

    @asynccontextmanager
    async def alone(self, reason: str) -> AsyncIterator[None]:
        """The store for this process alone: an owner that has it open makes room, and takes it back afterwards.

        A server is shared by whoever uses it.
        """
        async with AsyncExitStack() as stack:
            if not self.on_server:
                if self.settings.backend is Backend.QDRANT:
                    await asyncio.to_thread(StorageFolder(self.settings.qdrant_path).look)
                await stack.enter_async_context(exclusive_use(identify(self.settings), reason=reason))
            yield


def _check_addresses(name: str, option: str) -> None:
    key = "MCP_QDRANT_API_KEY, or with --source-key-file" if option == "--source" else "MCP_QDRANT_API_KEY"
    for url in name.split(","):
        try:
            checked_url(url.strip(), key=key)
        except ValueError as error:
            raise ConfigurationError(f"{option}: {error}") from None
