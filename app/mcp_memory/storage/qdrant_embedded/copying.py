"""Copies of a shard's files: durable, holes as holes, each with its checksum. No link is followed."""

from __future__ import annotations

import hashlib
import os
from io import BufferedReader
from pathlib import Path
from typing import Final

from mcp_memory.domain.errors import StorageFormatError
from mcp_memory.storage.qdrant_embedded.manifest import sync_folder
from mcp_memory.system.records import NO_LINK, strange_entries

_CHUNK: Final = 64 * 1024
_ZEROS: Final = bytes(_CHUNK)
_PRIVATE: Final = 0o700


def copy_tree(source: Path, target: Path) -> dict[Path, str]:
    """Copy a folder durably, holes as holes; SHA-256 of each file in it."""
    sums: dict[Path, str] = {}
    strange = next(strange_entries(source), None)
    if strange is not None:
        raise StorageFormatError(f"{strange} is neither a file nor a folder: it isn't copied, and nothing was.")
    for root, _, names in os.walk(source):
        copy = target / Path(root).relative_to(source)
        copy.mkdir(mode=_PRIVATE)
        for name in names:
            sums[copy / name] = _copy_file(Path(root, name), copy / name)
        sync_folder(copy)
    return sums


def _copy_file(source: Path, target: Path) -> str:
    digest = hashlib.sha256()
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with _opened(source) as given, os.fdopen(fd, "wb") as copy:
        while chunk := given.read(_CHUNK):
            digest.update(chunk)
            if chunk == _ZEROS[: len(chunk)]:
                copy.seek(len(chunk), os.SEEK_CUR)
            else:
                copy.write(chunk)
        copy.truncate()
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def checksum_of(file: Path) -> str:
    with _opened(file) as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _opened(file: Path) -> BufferedReader:
    return os.fdopen(os.open(file, os.O_RDONLY | NO_LINK), "rb")
