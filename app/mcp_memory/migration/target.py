"""Where memories go: any storage, with the name that messages and checkpoints give it."""

from __future__ import annotations

from dataclasses import dataclass

from mcp_memory.domain.model import ModelIdentity
from mcp_memory.migration.checkpoint import TargetMark
from mcp_memory.storage.base import BaseStorage


@dataclass(frozen=True, slots=True)
class Target:
    """A storage that the migration opens and closes."""

    address: str
    """An absolute path, or a URL without credentials."""
    engine: str
    """In a line for people: "Qdrant", "sqlite-vec"."""
    storage: BaseStorage
    model: ModelIdentity

    @property
    def mark(self) -> TargetMark:
        return TargetMark(self.address, self.model.name, self.model.fingerprint, self.model.dimensions)
