"""Reading and writing small files that say what is where: never through a symbolic link, never more than such a file may hold.

A store, a backup or a cache may come from somebody else. What its records name is checked by whoever reads them; here is what
holds for all of them.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

RECORD_BYTES: Final = 16 * 1024 * 1024
"""The list of a backup's files is the longest record that we write: 200 bytes a file."""
NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_ONE_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]*")


def read_record(path: Path, *, limit: int = RECORD_BYTES) -> bytes:
    """The whole file. Raises OSError where it isn't there, is a link, no file at all, or longer than `limit` bytes."""
    descriptor = os.open(path, os.O_RDONLY | NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is longer than {limit:,} bytes", str(path))
    return content


def write_over(descriptor: int, content: bytes) -> None:
    """Replace what an open file holds. Old blocks are used again, which a full disk allows; where even that fails it is empty."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        written = os.write(descriptor, content)
        os.ftruncate(descriptor, written if written == len(content) else 0)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        os.ftruncate(descriptor, 0)


def one_line(value: object, longest: int) -> bool:
    """Whether this is a text that can stand in a line for people: nothing in it moves the cursor or turns the reading round."""
    return isinstance(value, str) and len(value) <= longest and _ONE_LINE.fullmatch(value) is not None


def is_folder(path: Path) -> bool:
    """A folder itself, not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def first_link(folder: Path, parts: Iterable[str]) -> Path | None:
    """The first of the names below `folder` that is a symbolic link, one inside the other; None where none is."""
    path = folder
    for part in parts:
        path /= part
        if path.is_symlink():
            return path
    return None


def strange_entries(folder: Path) -> Iterator[Path]:
    """Whatever below a folder is neither a folder nor a file of its own: links, pipes, devices, sockets. Follows none."""
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue  # an engine replaces files while we look
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                yield path
