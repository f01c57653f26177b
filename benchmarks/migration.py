"""How quickly memories move: an original's database into the embedded store or a server, validated; and re-embedding.

usage: python -m benchmarks.migration [N] [--batch-size B] [--target http://...] [--re-embed]

Real texts and vectors. Beside the rate stand the CPU times of both processes and how long the engine waited for a core: on a
machine that others use too, they tell what the rate doesn't.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.embedded_corpus import EmbeddedCorpus, load
from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.embedding.base import Embedder
from mcp_memory.embedding.options import EmbeddingOptions
from mcp_memory.embedding.select import build_embedder
from mcp_memory.migration.catch_up import CatchUp
from mcp_memory.migration.checkpoint import Checkpoint, SourceMark, TargetMark
from mcp_memory.migration.migration import Migration
from mcp_memory.migration.origin import FileOrigin
from mcp_memory.migration.plan import MigrationOptions, Validation
from mcp_memory.migration.progress import PrintedProgress, Step
from mcp_memory.migration.run import Run
from mcp_memory.migration.sources.detect import source_at
from mcp_memory.migration.target import Target
from mcp_memory.storage.base import BaseStorage
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_server.backend import QdrantServerStorage
from mcp_memory.storage.qdrant_server.dropping import drop_collection
from mcp_memory.storage.qdrant_server.options import ServerOptions
from mcp_memory.storage.sqlite_vec.backend import SqliteVecStorage
from mcp_memory.storage.sqlite_vec.options import SqliteVecOptions


@dataclass(frozen=True)
class Cores:
    """Seconds that a process and its threads ran, and waited for a core."""

    ran: float = 0.0
    waited: float = 0.0

    @classmethod
    def of(cls, pid: int) -> Cores:
        """Linux only; zero elsewhere, and for a process that is gone."""
        ran = waited = 0.0
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            numbers = task.read_text(encoding="ascii").split()
            ran, waited = ran + int(numbers[0]) / 1e9, waited + int(numbers[1]) / 1e9
        return cls(ran, waited)

    def line(self, name: str, memories: int) -> str:
        return f"{name}: {self.ran / memories * 1e3:.3f} ms CPU a memory, waited {self.waited:.1f} s for a core"


class Watching(PrintedProgress):
    """Notes what the engine has used when the last batch is done."""

    def __init__(self, storage: BaseStorage) -> None:
        super().__init__(out=lambda _: None)
        self._storage = storage
        self.engine = Cores()

    def step(self, step: Step) -> None:
        client = getattr(self._storage, "_client", None)
        if step is Step.CLOSE and client is not None:
            self.engine = Cores.of(client._engine_pid)


async def database(corpus: EmbeddedCorpus, path: Path) -> None:
    """An sqlite-vec database of these texts, with the original's tables."""
    storage = SqliteVecStorage(SqliteVecOptions(path, corpus.identity))
    await storage.initialize()
    batch: list[EmbeddedMemory] = []
    for item in corpus.memories():
        batch.append(item)
        if len(batch) == 500:
            await storage.upsert(batch)
            batch = []
    await storage.upsert(batch)
    await storage.close()


async def migrate(source: Path, storage: BaseStorage, embedder: Embedder, batch_size: int, checked: Validation) -> None:
    options = MigrationOptions(source.with_name(f"{uuid.uuid4().hex}.json"), batch_size, checked)
    progress = Watching(storage)
    target = Target("the benchmark's", "Qdrant", storage, embedder.identity)
    with source_at(source) as opened:
        cpu = time.process_time()
        report = await Migration(FileOrigin(opened), target, embedder, options, progress).run()
    own = (time.process_time() - cpu) / report.migrated * 1e3
    print(
        f"validation {checked.value}: {report.migrated:,} memories in {report.seconds:.1f} s, "
        f"{report.migrated / report.seconds:,.0f}/s; this process: {own:.3f} ms CPU a memory; "
        f"{progress.engine.line('engine', report.migrated)}"
    )


async def re_embed(corpus: EmbeddedCorpus, folder: Path, embedder: Embedder) -> None:
    """The first round of a model change: from another model's vectors to this one's."""
    other = ModelIdentity("another", 8, hashlib.sha256(b"another").hexdigest())
    old, new = (
        QdrantEmbeddedStorage(EmbeddedOptions(folder / name, model))
        for name, model in (("old", other), ("new", embedder.identity))
    )
    await old.initialize()
    await new.initialize()
    unit = np.eye(1, 8, dtype=np.float32)[0]
    items = [EmbeddedMemory(item.memory, unit) for item in corpus.memories()]
    await old.upsert(items)
    mark = TargetMark("", "", "", 0)
    checkpoint = Checkpoint.begin(SourceMark("", "", None), mark, len(items), reembed=True, merge=False)
    run = Run(checkpoint, folder / "c.json", PrintedProgress(out=lambda _: None))
    started = time.perf_counter()
    done = await CatchUp(old, new, embedder, run, batch_size=50).round(filling=True)
    seconds = time.perf_counter() - started
    letters = sum(len(item.memory.content) for item in items) / len(items)
    print(f"re-embedding: {done:,} memories of {letters:.0f} characters in {seconds:.1f} s, {done / seconds:,.0f}/s")
    await old.close()
    await new.close()


async def main(arguments: argparse.Namespace) -> None:
    corpus = await load(arguments.count)
    embedder = await asyncio.to_thread(build_embedder, EmbeddingOptions())
    with tempfile.TemporaryDirectory(prefix="memory-benchmark-") as name:
        folder = Path(name)
        if arguments.re_embed:
            await re_embed(corpus, folder, embedder)
            return
        source = folder / "sqlite_vec.db"
        await database(corpus, source)
        for number, checked in enumerate((Validation.DURING, Validation.NONE)):
            if arguments.target:
                options = ServerOptions(
                    (arguments.target,), embedder.identity, alias=f"benchmark-{uuid.uuid4().hex[:8]}"
                )
                await migrate(source, QdrantServerStorage(options), embedder, arguments.batch_size, checked)
                await drop_collection(options)
            else:
                storage = QdrantEmbeddedStorage(EmbeddedOptions(folder / str(number), embedder.identity))
                await migrate(source, storage, embedder, arguments.batch_size, checked)
    await embedder.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=20_000)
    parser.add_argument("--batch-size", type=int, default=500)
    parser.add_argument("--target", help="URL of a Qdrant server; default: the embedded store")
    parser.add_argument("--re-embed", action="store_true")
    asyncio.run(main(parser.parse_args()))
