"""A source, a target and an embedder for migration tests, and what came of a migration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from embedders import HashEmbedder
from mcp_memory.domain.memory import EmbeddedMemory, Memory
from mcp_memory.migration.migration import Migration
from mcp_memory.migration.origin import FileOrigin
from mcp_memory.migration.plan import MigrationOptions
from mcp_memory.migration.progress import PrintedProgress, Step
from mcp_memory.migration.report import MigrationReport
from mcp_memory.migration.sources.detect import source_at
from mcp_memory.migration.target import Target
from mcp_memory.storage.base import BaseStorage
from mcp_memory.storage.sqlite_vec.backend import SqliteVecStorage
from mcp_memory.storage.sqlite_vec.options import SqliteVecOptions
from original_databases import Generation, OriginalRow, build

DIMENSIONS = 48
EMBEDDER = HashEmbedder(DIMENSIONS)
MODEL = EMBEDDER.identity


class Recorder(PrintedProgress):
    """Keeps lines, problems and steps; `at` is called at every step."""

    def __init__(self, verb: str = "Migrated", *, at: Callable[[Step], None] = lambda _: None) -> None:
        self.lines: list[str] = []
        self.problems: list[str] = []
        self.steps: list[Step] = []
        self._at = at
        super().__init__(verb, every=100, out=self.lines.append, problems=self.problems.append)

    def step(self, step: Step) -> None:
        self.steps.append(step)
        self._at(step)

    @property
    def said(self) -> list[str]:
        """Lines without their times."""
        return [line.split("] ", 1)[1] for line in self.lines]


def vector_of(text: str) -> np.ndarray:
    return EMBEDDER._vector(text)


def rows(count: int, *, start: int = 0) -> list[OriginalRow]:
    """Memories with the vectors that the embedder gives."""
    made = []
    for number in range(start, start + count):
        content = f"Memory {number} about {('kernel', 'garden', 'deploy', 'music')[number % 4]} and topic{number % 13}."
        made.append(
            OriginalRow(
                content=content,
                vector=vector_of(content),
                tags=("Work,home", "untagged", "", "a b,ü")[number % 4],
                metadata=f'{{"number": {number}, "deep": {{"list": [1, null]}}}}',
                created_at=1_700_000_000.123 + number,
                store="work" if number % 10 == 9 else "default",
            )
        )
    return made


def source(path: Path, count: int = 250, **more: Any) -> Path:
    return build(path, Generation.V12_4, rows(count), dimensions=DIMENSIONS, **more)


def sqlite_target(path: Path) -> Target:
    """Durable as the others, and quick to open: what migration tests use that are not about the target."""
    return Target(str(path), "sqlite-vec", SqliteVecStorage(SqliteVecOptions(path, MODEL)), MODEL)


def target(path: Path, storage: BaseStorage) -> Target:
    return Target(str(path), "Qdrant", storage, MODEL)


async def migrate(
    source_path: Path,
    to: Target,
    checkpoint: Path,
    *,
    progress: PrintedProgress | None = None,
    embedder: Any = None,
    stopping: Callable[[], bool] = lambda: False,
    **options: Any,
) -> MigrationReport:
    chosen = MigrationOptions(checkpoint=checkpoint, **{"batch_size": 20, **options})
    with source_at(source_path) as opened:
        run = Migration(FileOrigin(opened), to, embedder or EMBEDDER, chosen, progress or Recorder(), stopping=stopping)
        return await run.run()


async def content(to: Target) -> dict[str, tuple[Memory, bytes]]:
    """Everything a target holds: by hash, revisions aside."""
    storage = to.storage
    await storage.initialize()
    try:
        found: list[EmbeddedMemory] = [item async for batch in storage.iterate() for item in batch]
    finally:
        await storage.close()
    plain = {}
    for item in found:
        memory = item.memory
        object.__setattr__(memory, "revision", 1)
        plain[memory.content_hash] = (memory, item.vector.tobytes())
    assert len(plain) == len(found), "a memory is there twice"
    return plain
