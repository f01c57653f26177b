"""A small file system of its own, and what fills it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEBIBYTE = 1024 * 1024


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A tmpfs mounted at `folder`. Skips the test where this user may not mount."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs: run as root, in a container with CAP_SYS_ADMIN")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def free(disk: Path) -> int:
    """Bytes."""
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def fill(disk: Path, *, leave: int, name: str = "ballast") -> Path:
    """A file that leaves so many bytes free. Delete it to make room again."""
    ballast = disk / name
    with ballast.open("wb") as file:
        if (size := free(disk) - leave) > 0:
            os.posix_fallocate(file.fileno(), 0, size)
    return ballast
