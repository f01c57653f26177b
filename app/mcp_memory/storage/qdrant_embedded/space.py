"""Free space where a store lies: asked before every write, since the engine dies of SIGBUS on a full disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from mcp_memory.domain.errors import StorageFullError

OPENING_BYTES = 72 * 1024 * 1024
"""Opening a shard may make two write-ahead segments of 32 MB; without that space it dies."""


def free_bytes(folder: Path) -> int:
    """What this user may still write."""
    return shutil.disk_usage(folder).free


def check_space(folder: Path, needed: int, purpose: str) -> None:
    """Raises StorageFullError naming the folder, what is free and what is kept back."""
    free = free_bytes(folder)
    if free < needed:
        raise StorageFullError(
            f"No space left on device: {folder} has {free // 1024 // 1024:,} MB free, {purpose} needs "
            f"{-(-needed // 1024 // 1024):,} MB.\n"
            f"Free some space (df -h {folder}), or move the store to a larger disk and set MCP_QDRANT_STORAGE_PATH."
        )
