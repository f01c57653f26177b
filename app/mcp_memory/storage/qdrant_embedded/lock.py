"""The engine's lock on a storage folder: given back by the kernel when the holder dies, and passed on to a successor."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from mcp_memory.domain.errors import StorageError
from mcp_memory.system.records import read_record, write_over

WAIT_SECONDS = 5.0
"""How long an engine that is just closing may take to let go."""

if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 0x7FFF_FFFF
    """Far behind the content, which others must be able to read."""
else:
    import fcntl


class FolderLock:
    """An exclusive lock on a file, which names its holder's pid. The file is never deleted: a name must mean one file."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd

    @classmethod
    def acquire(cls, path: Path) -> FolderLock | None:
        """The lock, also where its holder is just closing; None where it serves on."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (lock := cls.try_acquire(path)) is None and time.monotonic() < deadline:
            time.sleep(0.02)  # flock can't be waited for with a time limit
        return lock

    @classmethod
    def try_acquire(cls, path: Path) -> FolderLock | None:
        """The lock, or None where another process has it. Raises StorageError where the file system can't lock."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        except OSError as error:
            raise StorageError(f"Can't open the lock file {path}: {error.strerror}.") from error
        try:
            if sys.platform == "win32":
                os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
                msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(fd)
            return None
        except OSError as error:
            os.close(fd)
            raise StorageError(
                f"The file system of {path} can't lock files ({error.strerror}): keep the store on a local disk."
            ) from error
        lock = cls(path, fd)
        lock.sign()
        return lock

    def sign(self) -> None:
        """Write this process's pid into the file, for people; on a full disk it may stay empty."""
        write_over(self.fd, b"%d\n" % os.getpid())

    def let_go(self) -> None:
        """Close this process's handle. The lock itself goes on where a successor was given the same handle."""
        with suppress(OSError):
            os.close(self.fd)


def holder(path: Path) -> int | None:
    """The pid in a lock file; None where there is none. Messages tell people to `kill` it: -1 would be everybody."""
    try:
        written = read_record(path, limit=64).decode("ascii").strip()
    except (OSError, ValueError):
        return None
    return int(written) if written.isdecimal() and int(written) > 0 else None
