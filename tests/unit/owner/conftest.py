"""A folder short enough for a socket, and the end of every owner that a test started."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mcp_memory.owner.lock import FileLock, read_holder
from mcp_memory.owner.paths import OwnerPaths


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="own-"))
    yield path
    lock = FileLock(OwnerPaths(path).lock)
    if not lock.try_acquire():
        holder = read_holder(lock.path)
        assert holder is not None
        if holder.pid != os.getpid():
            os.kill(holder.pid, signal.SIGKILL)
            psutil.wait_procs([psutil.Process(holder.pid)] if psutil.pid_exists(holder.pid) else [], timeout=10)
    lock.release()
    shutil.rmtree(path)
