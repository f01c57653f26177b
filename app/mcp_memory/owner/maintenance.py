"""A maintenance lease: for its time one process has the storage folder for itself, and the owner keeps its engine closed.

The lease is a file in the folder, so that every worker of the owner, and an owner started meanwhile, keeps to it.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from mcp_memory.domain.errors import StorageBusyError
from mcp_memory.system.records import one_line, read_record

LONGEST_SECONDS = 300.0
"""A lease that isn't renewed ends after this time at the latest."""
_CLOCK_SECONDS = 60.0
"""How far the clock may have been set back meanwhile."""
_LEASE_BYTES = 65_536
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Lease:
    """Who has the folder, why, and until when (UTC seconds)."""

    token: str
    holder: str
    reason: str
    until: float

    @property
    def alive(self) -> bool:
        """One that ends later than any that is given isn't ours: it would keep everybody out for good."""
        return time.time() < self.until <= time.time() + LONGEST_SECONDS + _CLOCK_SECONDS

    def busy(self) -> StorageBusyError:
        """The error that everybody else gets."""
        return StorageBusyError(
            f"The memory store is under maintenance: {self.reason}, by {self.holder}. Try again when it has ended.",
            retry_after=max(1.0, min(self.until - time.time(), 5.0)),
        )


class LeaseFile:
    """The lease in force, if any. Reading it again costs one `stat` while it hasn't changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.folder = path.parent
        self._seen: tuple[int, int] | None = None
        self._lease: Lease | None = None

    def current(self) -> Lease | None:
        """The lease in force, or None."""
        try:
            status = self._path.stat()
        except OSError:
            self._seen = self._lease = None
            return None
        seen = (status.st_mtime_ns, status.st_ino)
        if seen != self._seen:
            self._lease = _parse(self._path)
            self._seen = seen
        return self._lease if self._lease is not None and self._lease.alive else None

    def write(self, lease: Lease) -> None:
        """Put a lease in force, atomically and readable by its user only."""
        fd, name = tempfile.mkstemp(prefix="owner.", suffix=".tmp", dir=self._path.parent)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(asdict(lease), file)
        Path(name).replace(self._path)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


def _parse(path: Path) -> Lease | None:
    try:
        values = json.loads(read_record(path, limit=_LEASE_BYTES))
        lease = Lease(values["token"], values["holder"], values["reason"], float(values["until"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    ours = isinstance(lease.token, str) and _TOKEN.fullmatch(lease.token) is not None
    return lease if ours and one_line(lease.holder, 1_000) and one_line(lease.reason, 1_000) else None
