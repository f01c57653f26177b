"""An estimate is what a sample took, for as many as there are: measured here by a clock that only storing and embedding move."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from embedders import HashEmbedder
from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.migration import estimate as estimates
from mcp_memory.migration.estimate import EMBEDDED_SAMPLE, SAMPLE, Estimate, estimate
from mcp_memory.migration.origin import FileOrigin
from mcp_memory.migration.sources.detect import source_at
from migration_world import DIMENSIONS, rows
from original_databases import Generation, OriginalRow, build
from reference_storage import ReferenceStorage

pytestmark = pytest.mark.anyio
STORING, EMBEDDING, VALIDATING = 0.01, 0.1, 0.001
"""Seconds a memory."""


class Clock:
    now = 0.0


class Scratch(ReferenceStorage):
    def __init__(self, clock: Clock) -> None:
        super().__init__(DIMENSIONS)
        self.clock = clock
        self.stored = 0
        self.closed = False

    async def upsert(self, memories: Sequence[EmbeddedMemory], **how: Any) -> Any:
        self.clock.now += STORING * len(memories)
        self.stored += len(memories)
        return await super().upsert(memories, **how)

    async def get_embedded(self, hashes: Sequence[str]) -> Any:
        self.clock.now += VALIDATING * len(hashes)
        return await super().get_embedded(hashes)

    async def close(self) -> None:
        self.closed = True


class Embedder(HashEmbedder):
    def __init__(self, clock: Clock) -> None:
        super().__init__(DIMENSIONS)
        self.clock = clock

    async def embed_documents(self, texts: Sequence[str]) -> Any:
        self.clock.now += EMBEDDING * len(texts)
        return await super().embed_documents(texts)


class Bench:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, made: list[OriginalRow]) -> None:
        self.clock = Clock()
        monkeypatch.setattr(estimates.time, "perf_counter", lambda: self.clock.now)
        self.path = build(folder / "a.db", Generation.V12_4, made, dimensions=DIMENSIONS)
        self.scratch = Scratch(self.clock)
        self.embedder = Embedder(self.clock)

    async def estimate(self, *, reembed: bool = False, validated: bool = False, batch_size: int = 10) -> Estimate:
        with source_at(self.path) as source:
            origin = FileOrigin(source)
            report = await origin.inspect()
            how = {"batch_size": batch_size, "reembed": reembed, "validated": validated}
            return await estimate(origin, report, self.scratch, self.embedder, **how)


async def test_vectors_that_are_kept_cost_what_storing_them_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, monkeypatch, rows(40))
    found = await bench.estimate()
    assert (found.memories, found.to_embed) == (40, 0)
    assert found.seconds == pytest.approx(40 * STORING)
    assert (bench.scratch.stored, bench.embedder.embedded, bench.scratch.closed) == (40, [], True)


async def test_validation_is_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await Bench(tmp_path, monkeypatch, rows(40)).estimate(validated=True)
    assert found.seconds == pytest.approx(40 * (STORING + VALIDATING))


async def test_a_sample_stands_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch, rows(SAMPLE + 300))
    found = await bench.estimate(batch_size=100)
    assert bench.scratch.stored == SAMPLE
    assert found.seconds == pytest.approx((SAMPLE + 300) * STORING)


async def test_texts_to_embed_cost_what_a_smaller_sample_of_them_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, monkeypatch, rows(100))
    found = await bench.estimate(reembed=True)
    assert (found.memories, found.to_embed) == (100, 100)
    assert len(bench.embedder.embedded) == EMBEDDED_SAMPLE
    assert found.seconds == pytest.approx(100 * EMBEDDING, rel=0.02)  # and a little for storing, which nothing was


async def test_those_without_a_vector_are_counted_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [OriginalRow(f"without {number}") for number in range(5)] + rows(45)
    found = await Bench(tmp_path, monkeypatch, made).estimate()
    assert (found.memories, found.to_embed) == (50, 5)
    assert found.seconds == pytest.approx(50 * STORING + 5 * EMBEDDING)


async def test_the_scratch_storage_is_closed_where_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch, rows(5))

    async def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bench.scratch, "upsert", lambda *_, **__: full())
    with pytest.raises(OSError, match="No space left"):
        await bench.estimate()
    assert bench.scratch.closed
