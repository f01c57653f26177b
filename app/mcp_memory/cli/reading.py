"""The file of an import, read in batches of bounded size."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from mcp_memory.cli.progress import Progress

BATCH_MEMORIES = 100
BATCH_BYTES = 1_000_000


@dataclass(slots=True)
class Batch:
    """Memories with the numbers of their lines, and lines that are none."""

    memories: list[dict[str, Any]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        return len(self.memories) >= BATCH_MEMORIES or self.size >= BATCH_BYTES

    def add(self, number: int, line: bytes) -> None:
        self.size += len(line)
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            self.unreadable.append((number, f"not JSON: {error}"))
            return
        if not isinstance(value, dict) or not isinstance(value.get("content"), str):
            self.unreadable.append((number, "not a memory: an object with `content`"))
            return
        self.memories.append(value)
        self.lines.append(number)


@contextmanager
def read_batches(name: str) -> Iterator[Iterator[Batch]]:
    """Batches of a file (`-` is stdin), with a progress bar over its bytes."""
    with ExitStack() as stack:
        if name == "-":
            file: BinaryIO = sys.stdin.buffer
            total = None
        else:
            path = Path(name)
            file = stack.enter_context(path.open("rb"))
            total = path.stat().st_size
        progress = stack.enter_context(Progress("Importing", total=total, bytes_=True))
        yield _batches(file, progress)


def _batches(file: BinaryIO, progress: Progress) -> Iterator[Batch]:
    batch = Batch()
    for number, line in enumerate(file, 1):
        if line.strip():
            batch.add(number, line)
        if batch.full:
            yield batch
            progress.advance(batch.size)
            batch = Batch()
    yield batch
    progress.advance(batch.size)
