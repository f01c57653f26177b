"""A lock that the kernel gives back when its holder dies: flock on POSIX, a locked byte on Windows.

The file's content names the holder for messages; only the lock itself decides.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from mcp_memory.domain.errors import StorageError
from mcp_memory.system.owners import owner_of, user_name
from mcp_memory.system.records import one_line, read_record, write_over

_HOLDER_BYTES = 1024 * 1024

if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 0x7FFF_FFFF
    """Far behind the content, which others must be able to read."""
else:
    import fcntl


@dataclass(frozen=True, slots=True)
class Holder:
    """What the holder of a lock wrote about itself."""

    pid: int
    kind: str
    command: str
    since: str
    """UTC, ISO 8601."""


class FileLock:
    """An exclusive lock on a file, held until `release` or the end of every process that shares the descriptor.

    A forked child shares the lock (gunicorn's workers), a spawned one doesn't. Only its holder may delete the file (`remove`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def try_acquire(self) -> bool:
        """Take the lock if it is free. Raises StorageError where the file can't be opened or locked at all."""
        if self._fd is not None:
            return True
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        try:
            fd = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise StorageError(
                f"Can't open the lock file {self.path}: {error.strerror}.{_remedy(self.path)}"
            ) from error
        try:
            _lock(fd)
        except (BlockingIOError, PermissionError):
            os.close(fd)
            return False
        except OSError as error:
            os.close(fd)
            raise StorageError(
                f"The file system of {self.path} can't lock files ({error.strerror}): keep the store on a local disk."
            ) from error
        if not _still_there(fd, self.path):  # its holder has deleted it: whoever comes next locks another file
            os.close(fd)
            return self.try_acquire()
        self._fd = fd
        return True

    def describe(self, holder: Holder) -> None:
        """Write who holds the lock into the file."""
        if self._fd is None:
            raise RuntimeError(f"{self.path} is not locked by this process")
        write_over(self._fd, json.dumps(asdict(holder)).encode())

    def remove(self) -> None:
        """Delete the file, then give the lock back."""
        if self._fd is not None:
            with suppress(OSError):  # Windows deletes no file that is open; it stays there, unlocked
                self.path.unlink()
        self.release()

    def release(self) -> None:
        """Give the lock back, for forked children too. Safe to call twice."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        with suppress(OSError):
            _unlock(fd)
        os.close(fd)


def read_holder(path: Path) -> Holder | None:
    """Who holds (or last held) the lock; None where nobody has written it."""
    try:
        fields = json.loads(read_record(path, limit=_HOLDER_BYTES))
        holder = Holder(fields["pid"], fields["kind"], fields["command"], fields["since"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    # Messages tell people to `kill` it, and show the rest: -1 would be everybody, and an escape sequence would act.
    texts = all(one_line(text, _HOLDER_BYTES) for text in (holder.kind, holder.command, holder.since))
    return holder if type(holder.pid) is int and holder.pid > 0 and texts else None


def _remedy(path: Path) -> str:
    """For a file that another user, root in most cases, has left in this user's folder."""
    left_by, folder = owner_of(path), owner_of(path.parent)
    if left_by is None or folder is None or left_by == folder:
        return ""
    return (
        f"\nIt belongs to user {user_name(left_by)}. Give the folder back to its user:  "
        f"sudo chown -R {user_name(folder)} {shlex.quote(str(path.parent))}"
    )


def _still_there(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _lock(fd: int) -> None:
    if sys.platform == "win32":
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _unlock(fd: int) -> None:
    if sys.platform == "win32":
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(fd, fcntl.LOCK_UN)
