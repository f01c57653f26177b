"""Free space where a store lies: asked before every write, since the engine dies of SIGBUS on a full disk."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mcp_memory.domain.errors import StorageFullError
from mcp_memory.sizes import size

OPENING_BYTES = 72 * 1024 * 1024
"""Opening a shard may make two write-ahead segments of 32 MB; without that space it dies."""

DELETING_BYTES = 40 * 1024 * 1024
"""A deletion may begin a write-ahead segment of 32 MB."""
SET_ASIDE_BYTES = 112 * 1024 * 1024
"""What is set aside while there is room: opening takes OPENING_BYTES, and fills holes in the shard's files once (17 MB of 17 MB
with 3,000 memories of 32 dimensions)."""
SMALL_FILES_BYTES = 8 * 1024 * 1024
"""Left for the owner's record, a manifest and the like where all the rest is taken back."""
TIGHT_BYTES = 2 * 1024**3
"""Free space below which something is set aside; nobody is asked for it on a disk with room."""
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


def set_aside(file: Path, *, leave: int) -> None:
    """Take the space that opening and deleting need on a full disk, so that nobody else takes it, where that leaves `leave`."""
    if not hasattr(os, "posix_fallocate") or file.exists():
        return
    size = min(SET_ASIDE_BYTES, free_bytes(file.parent) - leave)
    if size < OPENING_BYTES:
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
        finally:
            os.close(descriptor)
    except (
        OSError
    ) as error:  # somebody was quicker, or the file system can't: then opening on a full disk is for reading alone
        if error.errno not in NO_SPACE | {errno.EOPNOTSUPP, errno.EINVAL, errno.EEXIST}:
            raise
        file.unlink(missing_ok=True)


def places_for_a_copy(folder: Path, needed: int) -> Iterator[Path]:
    """Folders on other file systems where a copy of so many bytes fits, for the time that the store's own disk is full."""
    here = folder.stat().st_dev
    for name in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/var/tmp", "/dev/shm"):  # noqa: S108
        place = Path(name) if name else None
        if place is None or not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            continue
        if place.stat().st_dev != here and free_bytes(place) >= needed:
            yield place


def free_bytes(folder: Path) -> int:
    """What this user may still write."""
    return shutil.disk_usage(folder).free


def check_space(folder: Path, needed: int, purpose: str) -> None:
    """Raises StorageFullError naming the folder, what is free and what is kept back."""
    free = free_bytes(folder)
    if free < needed:
        raise StorageFullError(
            f"No space left on device: {folder} has {size(free)} free, {purpose} needs "
            f"{size(needed)}.\n"
            f"Free some space (df -h {folder}), or move the store to a larger disk and set MCP_QDRANT_STORAGE_PATH."
        )
