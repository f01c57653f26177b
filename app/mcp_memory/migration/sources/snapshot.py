"""Opening an SQLite database so that not one byte of it, nor of what lies beside it, changes.

Opening it the ordinary way, even with mode=ro, is not harmless in WAL mode: it leaves a new -wal and -shm beside a clean
database, rewrites the -shm of a live one, and fails on a read-only mount. `immutable=1` does none of that, and ignores the
-wal. So: with no -wal, or an empty one, the file itself is read as immutable; otherwise a private copy of file and -wal is.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Self, TypeVar
from urllib.parse import quote

from mcp_memory.migration.sources.base import Fingerprint, SourceChangedError, SourceError
from mcp_memory.migration.sources.fingerprint import fingerprint

MAGIC = b"SQLite format 3\0"
_WAL_HEADER = 32
_ATTEMPTS = 5
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class _State:
    """What changes when somebody writes: identity, size and time of a file; None where it isn't there or is empty."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> _State | None:
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        return cls(status.st_ino, status.st_size, status.st_mtime_ns) if status.st_size else None


class Snapshot:
    """A database as it was when this was opened. Closing removes a private copy."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()  # SQLite looks for the logs beside the file that a link points to
        self._beside = (_beside(self.path, "-wal"), _beside(self.path, "-journal"))
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.in_use = threading.RLock()
        """Held while a thread reads: a connection closed under it takes the whole process with it."""
        self._closed = False
        try:
            self._check_header()
            self.fingerprint: Fingerprint = fingerprint(self.path, *self._beside)
            self._before = self._state()
            readable = self._private_copy() if any(self._before[1:]) else self.path
            self.connection = self._connect(readable)
        except OSError as error:
            self._remove_copy()
            raise SourceError(f"Can't read {path}: {error.strerror or error}.") from error
        except BaseException:
            self._remove_copy()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def private_copy(self) -> bool:
        return self._folder is not None

    @property
    def modified_at(self) -> float:
        """UTC seconds of the last write."""
        return self.fingerprint.mtime_ns / 1e9

    def check_unchanged(self) -> None:
        """Raise SourceChangedError if what is read may have been torn, or is no longer all there is."""
        if self._folder is None and self._state() != self._before:
            raise SourceChangedError(
                f"{self.path} was written to while it was read. Stop the service that uses it, then run this again."
            )

    def reading(self, items: Iterator[_Item]) -> Iterator[_Item]:
        """`items`, made from this snapshot, each while it can't be closed; SourceError for one asked for later."""
        while True:
            with self.in_use:
                if self._closed:
                    raise SourceError(f"{self.path} was closed while it was read.")
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    def close(self) -> None:
        """Waits for the thread that reads."""
        with self.in_use:
            self._closed = True
            self.connection.close()
            self._remove_copy()

    def _state(self) -> tuple[_State | None, ...]:
        return tuple(_State.of(path) for path in (self.path, *self._beside))

    def _check_header(self) -> None:
        if self.path.is_dir():
            raise SourceError(f"{self.path} is a folder, not an SQLite database.")
        with self.path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise SourceError(f"{self.path} is not an SQLite database.")

    def _connect(self, readable: Path) -> sqlite3.Connection:
        # A copy is ours to recover and to write a -shm beside.
        options = "" if self._folder is not None else "?mode=ro&immutable=1"
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(readable.absolute()))}{options}",
                uri=True,
                check_same_thread=False,
                isolation_level=None,
            )
        except sqlite3.Error as error:
            raise SourceError(f"Can't open {self.path}: {error}.") from error
        try:
            connection.execute("PRAGMA query_only=ON")
            connection.execute(
                "PRAGMA trusted_schema=OFF"
            )  # views and indexes of a stranger's file call nothing unsafe
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            connection.close()
            raise SourceError(f"{self.path} can't be read as an SQLite database: {error}.") from error
        return connection

    def _private_copy(self) -> Path:
        """A consistent copy, also of a database that is being written to."""
        for _ in range(_ATTEMPTS):
            # mkdtemp gives 0700: what is copied is as private as it was.
            self._folder = tempfile.TemporaryDirectory(prefix="mcp-memory-source-")
            copy = Path(self._folder.name) / "copy.db"
            if self._copy_to(copy):
                return copy
            self._remove_copy()
        raise SourceChangedError(
            f"{self.path} is being written to too often for a consistent copy. Stop the service that uses it, "
            "then run this again."
        )

    def _copy_to(self, copy: Path) -> bool:
        """Copy database and logs; False where the log was restarted or removed meanwhile.

        While one generation of the -wal lives, pages that a checkpoint moves into the database are still in the log, which is
        copied after the database and wins over it; a frame torn by copying fails its checksum and counts as not written. So the
        copy is consistent if the log copied last is the one that was there first: same file, same header (its salts change with
        every restart). A rollback journal has no such order: there nothing at all may have changed.
        """
        wal, journal = self._beside
        before = self._state()
        try:
            with self.path.open("rb") as database:
                log = wal.open("rb", buffering=0) if wal.exists() else None
                try:
                    header = _header(log) if log is not None else b""
                    _copy(database, copy)
                    if journal.exists():
                        shutil.copyfile(journal, _beside(copy, "-journal"))
                    if log is None or not header:
                        return self._state() == before
                    log.seek(0)
                    _copy(log, _beside(copy, "-wal"))
                    return _same_log(log, wal, header) and _State.of(journal) == before[2]
                finally:
                    if log is not None:
                        log.close()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise SourceError(
                f"{self.path} has a write-ahead log beside it, so a private copy is read, which failed: "
                f"{error.strerror or error}. TMPDIR names the folder for it; it needs the size of the database."
            ) from error

    def _remove_copy(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _copy(source: BinaryIO | FileIO, target: Path) -> None:
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, 1024 * 1024)


def _header(log: FileIO) -> bytes:
    """Read from the file itself each time: the log isn't buffered."""
    log.seek(0)
    return log.read(_WAL_HEADER)


def _same_log(log: FileIO, path: Path, header: bytes) -> bool:
    status = path.stat()
    same_file = os.fstat(log.fileno()).st_ino == status.st_ino and status.st_size > 0
    return same_file and _header(log) == header
