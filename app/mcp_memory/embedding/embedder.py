"""WindowedEmbedder: texts of any length to vectors, off the event loop, in an order that keeps short ones quick."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from mcp_memory.domain.errors import DimensionMismatchError, EmbeddingError
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.embedding.base import EmbeddingProvider, Reader, TextKind
from mcp_memory.embedding.batch_queue import Batch, BatchQueue, Observe, Urgency

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHORT_BYTES = 128
"""Texts up to this size are looked at on the event loop: 50 microseconds at most, less than another thread's hand-over."""


@dataclass(frozen=True, slots=True)
class EmbedderLimits:
    """How work is cut, and how much of it may wait. Tokens are estimated from bytes."""

    batch_texts: int = 32
    batch_tokens: int = 256
    """Padded tokens of a batch, which bounds what others wait for: 256 take 80 to 100 ms of CPU, and more cost no less each."""
    waiting_windows: int = 4096
    together: int = 4
    """Waiting queries (or short texts) that share a call: 4 of 25 tokens take 7.4 ms of CPU each, one alone 9.8."""
    patience: float | None = None
    """Seconds that a query (or a short text) may wait for its turn; None: as long as it takes."""
    express_threads: int = 1
    """Threads that leave bulk work to others, so that a query never waits for a batch of it."""
    bulk_threads: int = 1


class WindowedEmbedder:
    """Runs any provider: a long text becomes the normalised mean of its windows' vectors; queries go before bulk work.

    `observe(batch_size, seconds)` is called from a worker thread after each call of the provider. Threads start with the first
    text. Belongs to one event loop.
    """

    def __init__(
        self, provider: EmbeddingProvider, *, limits: EmbedderLimits | None = None, observe: Observe | None = None
    ) -> None:
        self._provider = provider
        self._limits = limits or EmbedderLimits()
        self._queue = BatchQueue(
            provider,
            waiting_texts=self._limits.waiting_windows,
            express_threads=self._limits.express_threads,
            bulk_threads=self._limits.bulk_threads,
            together=self._limits.together,
            together_cost=self._limits.batch_tokens,
            patience=self._limits.patience,
            observe=observe,
        )
        self._splitting = ThreadPoolExecutor(1, thread_name_prefix="embed-split")
        self._closed = False

    @property
    def identity(self) -> ModelIdentity:
        return self._provider.identity

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """float32[d], L2-normalised. Raises EmbeddingError, or StorageBusyError when the queue is full."""
        vectors: NDArray[np.float32] = (await self._embed([text], TextKind.QUERY))[0]
        return vectors

    async def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[n, d], L2-normalised, in order. Raises EmbeddingError, or StorageBusyError when the queue is full."""
        return await self._embed(texts, TextKind.DOCUMENT)

    def reads(self, text: str) -> bool:
        """Whether the model knows words of the text; an endpoint, which can't tell, is taken to."""
        return not isinstance(self._provider, Reader) or self._provider.reads(text)

    async def close(self) -> None:
        """Finish what was accepted, then end the threads and the provider. Safe to call twice."""
        await asyncio.to_thread(self._queue.close)
        if not self._closed:
            self._closed = True
            self._splitting.shutdown()
            self._provider.close()

    async def _embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        if not texts:
            return np.empty((0, self.identity.dimensions), np.float32)
        windows = [await self._windows(text) for text in texts]
        parts = [part for split in windows for part in split]
        vectors = await self._run(parts, kind)
        return _means(vectors, [len(split) for split in windows])

    async def _windows(self, text: str) -> list[str]:
        if len(text.encode()) <= _SHORT_BYTES:
            return self._provider.windows(text)
        return await asyncio.get_running_loop().run_in_executor(self._splitting, self._provider.windows, text)

    async def _run(self, parts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        """Vectors of texts that fit the window, in their order."""
        order = sorted(range(len(parts)), key=lambda index: estimated_tokens(parts[index]))
        batches = [
            (indices, Batch([parts[index] for index in indices], kind, cost))
            for indices, cost in self._cut(parts, order)
        ]
        alone = Urgency.QUERY if kind is TextKind.QUERY else Urgency.SHORT
        urgency = alone if len(batches) == 1 else Urgency.BULK
        self._queue.submit([batch for _, batch in batches], urgency)
        vectors = np.empty((len(parts), self.identity.dimensions), np.float32)
        try:
            for indices, batch in batches:
                embedded: NDArray[np.float32] = await asyncio.wrap_future(batch.future)
                vectors[indices] = embedded
        finally:
            for _, batch in batches:
                batch.future.cancel()  # of a caller that is gone, or gets an error: what hasn't begun needn't
        return vectors

    def _cut(self, parts: Sequence[str], order: Sequence[int]) -> Iterator[tuple[list[int], int]]:
        """Batches of indices, shortest texts first, each with its padded size in tokens."""
        batch: list[int] = []
        cost = 0
        for index in order:
            grown = (len(batch) + 1) * estimated_tokens(parts[index])
            if batch and (len(batch) == self._limits.batch_texts or grown > self._limits.batch_tokens):
                yield batch, cost
                batch, grown = [], estimated_tokens(parts[index])
            batch.append(index)
            cost = grown
        yield batch, cost


class EndpointEmbedder(WindowedEmbedder):
    """Of an endpoint, whose weights nobody sees: address and name are its identity until stored vectors prove to be its own."""

    _adopted: ModelIdentity | None = None

    @property
    def identity(self) -> ModelIdentity:
        return self._adopted or self.own_identity

    @property
    def own_identity(self) -> ModelIdentity:
        return self._provider.identity

    def adopt(self, identity: ModelIdentity | None) -> None:
        """Go by this identity, of vectors of the same size; None: by its own again."""
        if identity is not None and identity.dimensions != self.own_identity.dimensions:
            raise DimensionMismatchError(expected=identity.dimensions, got=self.own_identity.dimensions)
        self._adopted = identity


def estimated_tokens(text: str) -> int:
    """Tokens of a text, special ones included, to a factor of two: four bytes each in English, three in Chinese."""
    return 2 + len(text.encode()) // 4


def _means(vectors: NDArray[np.float32], sizes: Sequence[int]) -> NDArray[np.float32]:
    """One vector for each run of `sizes` rows: the rows' mean, normalised. A single row stays what it is."""
    if len(sizes) == len(vectors):
        return vectors
    starts = [0, *accumulate(sizes)]
    means = np.empty((len(sizes), vectors.shape[1]), np.float32)
    for row, (start, size) in enumerate(zip(starts, sizes, strict=False)):
        if size == 1:
            means[row] = vectors[start]
        else:
            total = vectors[start : start + size].sum(axis=0, dtype=np.float64)
            if not (norm := np.linalg.norm(total)):
                raise EmbeddingError("The vectors of a long text's windows cancel each other out: it has no direction.")
            means[row] = total / norm
    return means
