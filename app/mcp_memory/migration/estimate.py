"""How long a migration will take: a real sample, moved into a storage that is thrown away."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass

from mcp_memory.embedding.base import Embedder
from mcp_memory.migration.origin import Origin
from mcp_memory.migration.progress import PrintedProgress
from mcp_memory.migration.sources.base import SourceReport
from mcp_memory.migration.transfer import move
from mcp_memory.migration.validation import validate
from mcp_memory.storage.base import BaseStorage

SAMPLE = 500
EMBEDDED_SAMPLE = 32
"""Embedding is the slow part, and its rate settles sooner."""


@dataclass(frozen=True, slots=True)
class Estimate:
    memories: int
    seconds: float
    to_embed: int


async def estimate(
    origin: Origin,
    report: SourceReport,
    scratch: BaseStorage,
    embedder: Embedder,
    *,
    batch_size: int,
    reembed: bool,
    validated: bool,
) -> Estimate:
    """Measured from the first memories of the source, with and without those that must be embedded, apart."""
    to_embed = report.live if reembed or report.dimensions is None else report.without_embedding
    quiet = PrintedProgress(out=lambda _: None, problems=lambda _: None)
    await scratch.initialize()
    try:
        stored = embedded = 0
        storing = embedding = 0.0
        async with aclosing(origin.batches(None, size=min(batch_size, SAMPLE))) as batches:
            async for batch in batches:
                started = time.perf_counter()
                with_vector = [item for item in batch.memories if item.vector is not None and not reembed]
                moved = await move(with_vector, scratch, embedder, quiet, reembed=False)
                if validated:
                    await validate(scratch, moved.stored)
                storing += time.perf_counter() - started
                stored += len(with_vector)
                if to_embed and embedded < EMBEDDED_SAMPLE:
                    started = time.perf_counter()
                    texts = [item.memory.content for item in batch.memories[: EMBEDDED_SAMPLE - embedded]]
                    await embedder.embed_documents(texts)
                    embedding += time.perf_counter() - started
                    embedded += len(texts)
                if stored + embedded >= SAMPLE or (reembed and embedded >= EMBEDDED_SAMPLE):
                    break
    finally:
        await scratch.close()
    per_stored = storing / stored if stored else 0.001
    per_embedded = embedding / embedded if embedded else 0.0
    return Estimate(report.live, report.live * per_stored + to_embed * per_embedded, to_embed)
