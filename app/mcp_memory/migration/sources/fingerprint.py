"""Whether a file is the one that was seen before."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mcp_memory.migration.sources.base import Fingerprint

_EDGE = 64 * 1024


def fingerprint(path: Path, *beside: Path) -> Fingerprint:
    """Of a file and, where they exist and hold something, of those beside it. Raises OSError."""
    digest = hashlib.sha256()
    size, mtime_ns = _add(path, digest)
    for other in beside:
        try:
            more, later = _add(other, digest)
        except FileNotFoundError:
            continue
        size += more
        if more:
            mtime_ns = max(mtime_ns, later)
    return Fingerprint(size=size, mtime_ns=mtime_ns, sha256=digest.hexdigest())


def _add(path: Path, digest: hashlib._Hash) -> tuple[int, int]:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size:
            digest.update(str(status.st_size).encode())
            digest.update(file.read(_EDGE))
            file.seek(max(_EDGE, status.st_size - _EDGE))
            digest.update(file.read(_EDGE))
    return status.st_size, status.st_mtime_ns
