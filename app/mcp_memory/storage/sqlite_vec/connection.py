"""One connection: opened privately, durable, its errors told in the service's terms."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from mcp_memory.domain.errors import (
    StorageBusyError,
    StorageError,
    StorageFormatError,
    StorageFullError,
    StorageUnavailableError,
)
from mcp_memory.storage.sqlite_vec import library
from mcp_memory.storage.sqlite_vec.foreign import refuse_foreign
from mcp_memory.system.owners import refuse_other_users

log = logging.getLogger(__name__)


def connect(path: Path, busy_timeout: float) -> apsw.Connection:
    """Open the database, creating file (0600) and folder (0700) where they are missing."""
    _make_private(path)
    with told(path):
        connection = apsw.Connection(str(path))
    try:
        with told(path):
            connection.set_busy_timeout(int(busy_timeout * 1000))
            library.load(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def make_durable(connection: apsw.Connection) -> None:
    """Every commit is synced: in WAL mode the original's NORMAL loses the last ones with the power."""
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn the driver's errors into the service's."""
    try:
        yield
    except apsw.Error as error:
        raise _told(error, path) from error
    except OSError as error:
        raise StorageError(f"Can't use the database {path}: {error.strerror or error}.") from error


def _told(error: apsw.Error, path: Path) -> StorageError:
    for kinds, told_as, message in _MEANINGS:
        if isinstance(error, kinds):
            return told_as(message.format(path=path, folder=path.parent, error=error))
    return StorageError(f"The database {path} can't do this: {error}.")


_MEANINGS: tuple[tuple[tuple[type[apsw.Error], ...], type[StorageError], str], ...] = (
    (
        (apsw.FullError,),
        StorageFullError,
        (
            "No space left on device: nothing more can be stored in {path}.\n"
            "Free some space (df -h {folder}), or set MCP_MEMORY_SQLITE_PATH to a file on a larger disk."
        ),
    ),
    (
        (apsw.BusyError, apsw.LockedError),
        StorageBusyError,
        "Another process has been writing to {path} for longer than this one waits.",
    ),
    ((apsw.NotADBError,), StorageFormatError, "{path} is not an SQLite database. It is left as it is."),
    (
        (apsw.CorruptError,),
        StorageFormatError,
        "The database {path} is damaged ({error}).\nRestore a backup, or save what is left: sqlite3 {path} .recover",
    ),
    (
        (apsw.ReadOnlyError, apsw.PermissionsError, apsw.CantOpenError),
        StorageError,
        "Can't write to the database {path}: {error}.\nCheck its owner and mode: ls -l {path}",
    ),
    ((apsw.IOError,), StorageUnavailableError, "Reading or writing {path} failed: {error}."),
)


def fetch(connection: apsw.Connection, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Every row of a short answer."""
    return connection.execute(sql, tuple(values)).fetchall()


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All or nothing, durable at the end, and with no other writer from the start."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make_private(path: Path) -> None:
    try:
        if path.is_dir():
            raise StorageError(
                f"{path} is a folder; MCP_MEMORY_SQLITE_PATH names the database file, such as {path / 'sqlite_vec.db'}."
            )
        refuse_other_users(path)
        refuse_foreign(path)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        mode = stat.S_IMODE(path.stat().st_mode)
        if os.name == "posix" and mode & 0o077:
            path.chmod(0o600)
            log.warning("database %s had mode %04o: tightened to 0600", path, mode)
    except OSError as error:
        raise StorageError(
            f"Can't open the database {path}: {error.strerror}.\nSet MCP_MEMORY_SQLITE_PATH to a file that you may write to."
        ) from error
