"""systemd's journal behind stderr: each line is a record of its own there."""

from __future__ import annotations

import os
from typing import TextIO


def is_journal(stream: TextIO) -> bool:
    """Whether the stream is what systemd connected to the journal: it names that by device and inode (systemd.exec(5))."""
    named = os.environ.get("JOURNAL_STREAM")
    if not named:
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"
