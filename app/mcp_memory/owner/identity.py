"""Which store a process means, and with which settings: what client and owner compare before they work together."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_memory.environment import value_of
from mcp_memory.owner.paths import OwnerPaths
from mcp_memory.system.owners import refuse_other_users

if TYPE_CHECKING:
    from mcp_memory.config import Settings

_PATH_SETTINGS = {
    "MCP_MEMORY_BASE_DIR": "base_dir",
    "MCP_QDRANT_STORAGE_PATH": "storage_path",
    "MCP_MEMORY_SQLITE_PATH": "sqlite_path",
    "MCP_EMBEDDING_MODEL_PATH": "embedding_model_path",
    "MCP_EMBEDDING_CACHE_DIR": "embedding_cache_dir",
    "MCP_QDRANT_CA_FILE": "qdrant_ca_file",
}


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """One store as one set of settings sees it.

    `exclusive` is False for a Qdrant server, which many owners on many machines may serve at a time; the folder then only
    holds what local clients need to share one loaded model.
    """

    folder: Path
    model: str
    fingerprint: str
    exclusive: bool
    idle_seconds: float
    environment: tuple[tuple[str, str], ...]
    """Variables for a background owner, which starts in another folder: paths made absolute."""
    embedded: bool = False
    """The folder holds the embedded engine's store, and nothing of an owner's where it holds something else."""
    database: Path | None = None
    """Of the sqlite_vec backend, beside which the folder is."""

    @property
    def paths(self) -> OwnerPaths:
        return OwnerPaths(self.folder)

    def check_folder(self) -> None:
        """Before anything is read, made or said there: the place is this user's, and no other program's.

        Raises ConfigurationError where it is another user's, StorageFormatError where it is something else: not even a lock
        is left there.
        """
        refuse_other_users(self.folder if self.database is None else self.database)
        if self.embedded:
            from mcp_memory.storage.qdrant_embedded.folder import StorageFolder  # noqa: PLC0415 - of this backend only

            StorageFolder(self.folder).refuse_foreign()
        elif self.database is not None:
            from mcp_memory.storage.sqlite_vec.foreign import refuse_foreign  # noqa: PLC0415 - of this backend only

            refuse_foreign(self.database)


def identify(settings: Settings) -> StoreIdentity:
    """The store that these settings name. Settings that don't change answers (ports, logs, limits) play no part."""
    endpoint = settings.external_embedding_url
    model = (endpoint and settings.external_embedding_model) or settings.embedding_model
    answers = {
        "backend": settings.backend.value,
        "collection": settings.collection,
        "server": settings.qdrant_url,
        "model": model,
        "provider": settings.embedding_provider.value if settings.embedding_provider else None,
        "endpoint": endpoint,
        "model_path": str(settings.embedding_model_path) if settings.embedding_model_path else None,
        "quantization": settings.quantization_enabled,
    }
    return StoreIdentity(
        folder=_folder(settings),
        model=model,
        fingerprint=hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()[:16],
        exclusive=settings.qdrant_url is None,
        idle_seconds=settings.owner_idle_seconds,
        environment=_environment(settings),
        embedded=settings.backend.value == "qdrant" and settings.qdrant_url is None,
        database=settings.sqlite_file.absolute() if settings.backend.value == "sqlite_vec" else None,
    )


def _folder(settings: Settings) -> Path:
    if settings.backend.value == "sqlite_vec":
        file = settings.sqlite_file.absolute()
        return file.with_name(f"{file.name}.owner")
    if settings.qdrant_url is not None:
        server = hashlib.sha256(f"{settings.qdrant_url}\n{settings.collection}".encode()).hexdigest()[:12]
        return settings.base_dir.absolute() / "remote" / server
    return settings.qdrant_path.absolute()


def _environment(settings: Settings) -> tuple[tuple[str, str], ...]:
    variables = {
        name: str(Path(value).absolute())
        for name, field in _PATH_SETTINGS.items()
        if (value := getattr(settings, field)) is not None
    }
    variables |= {
        name: str(Path(os.path.expandvars(value)).expanduser().absolute())
        for name in (f"{secret}_FILE" for secret in _secrets())
        if (value := value_of(name)) is not None
    }
    return tuple(sorted(variables.items()))


def _secrets() -> tuple[str, ...]:
    from mcp_memory.config import SECRETS  # noqa: PLC0415 - settings are loaded where identify() is called, not before

    return SECRETS
