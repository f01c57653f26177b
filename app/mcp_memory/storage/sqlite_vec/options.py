"""What a database is opened with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcp_memory.domain.model import ModelIdentity


@dataclass(frozen=True, slots=True)
class SqliteVecOptions:
    path: Path
    """The database file; made where it is missing."""
    model: ModelIdentity
    busy_timeout: float = 15.0
    """Seconds to wait for another process that writes."""
