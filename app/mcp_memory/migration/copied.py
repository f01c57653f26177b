"""The list of what a new collection held when it took over: 24 bytes a memory, in order of id, in a file that survives a crash.

With it, a memory that one of two collections lacks can be told apart: deleted from the old one at the last moment, or stored in
the new one since; stored in the old one at the last moment, or deleted from the new one since. No clock plays a part.
"""

from __future__ import annotations

import errno
import os
import struct
import uuid
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, overload

from mcp_memory.migration.errors import MigrationRefusedError
from mcp_memory.storage.base import BaseStorage
from mcp_memory.system.records import NO_LINK, read_record

_RECORD = struct.Struct(">16sQ")
_LONGEST = 100_000_000 * _RECORD.size


class Copied(Sequence[bytes]):
    """The file, read as it is asked; as a sequence, the ids."""

    def __init__(self, path: Path) -> None:
        try:
            self._data = read_record(path, limit=_LONGEST)
            self._check(path)
        except OSError as error:
            raise MigrationRefusedError(
                f"{path}, which tells what the new collection held when it took over, can't be read: "
                f"{error.strerror or error}.\nWithout it, what was written in that moment can't be told from what was written "
                "since. The new collection answers; the old one is its backup."
            ) from error

    def _check(self, path: Path) -> None:
        """Whole, and in order of id: what is looked up in a list that isn't would be taken for deleted."""
        if len(self._data) % _RECORD.size:
            raise OSError(errno.EINVAL, f"it ends within a record ({len(self._data):,} bytes)", str(path))
        ids = (self._data[start : start + 16] for start in range(0, len(self._data), _RECORD.size))
        if any(not before < after for before, after in pairwise(ids)):
            raise OSError(errno.EINVAL, "its ids aren't in order", str(path))

    def __len__(self) -> int:
        return len(self._data) // _RECORD.size

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        start = place * _RECORD.size
        return self._data[start : start + 16]

    def revision(self, id_: str) -> int | None:
        """Of a point that was there; None for one that wasn't."""
        key = uuid.UUID(id_).bytes
        place = bisect_left(self, key)
        if place == len(self) or self[place] != key:
            return None
        revision: int = _RECORD.unpack_from(self._data, place * _RECORD.size)[1]
        return revision


async def write_copied(path: Path, storage: BaseStorage) -> int:
    """Write down what a storage holds; on disk when this returns. How many that is."""
    count = 0
    with _durable(path) as file:
        async for batch in storage.versions():
            file.write(b"".join(_RECORD.pack(uuid.UUID(one.id).bytes, one.revision) for one in batch))
            count += len(batch)
    return count


@contextmanager
def _durable(path: Path) -> Iterator[BinaryIO]:
    """A file of mode 0600, on disk with all that was written when this is left."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | NO_LINK, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
