"""BatchQueue: worker threads that take batches in order of urgency, and among bulk work in fair turns."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

from mcp_memory.domain.errors import EmbeddingError, StorageBusyError
from mcp_memory.embedding.base import EmbeddingProvider, TextKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]

Observe = Callable[[int, float], None]


class Urgency(IntEnum):
    """What goes first. Bulk is everything that takes more than one batch."""

    QUERY = 0
    SHORT = 1
    BULK = 2


@dataclass(slots=True)
class Batch:
    """Texts that one call of the provider embeds. `cost` is in estimated tokens."""

    texts: Sequence[str]
    kind: TextKind
    cost: int
    future: Future[Vectors] = field(default_factory=Future)
    submitted: float = 0.0
    """time.monotonic() when it was taken."""
    urgent: bool = False


class BatchQueue:
    """A bounded queue and its threads, which start with the first batch and end with `close`.

    Bulk requests share their threads by start-time fair queueing: a batch's turn is the queue's virtual time when its
    request came, plus the cost of what its request has before it. So a request of one batch waits for at most one batch of
    each other, however long those are, and none starves.
    """

    def __init__(
        self,
        provider: EmbeddingProvider,
        *,
        waiting_texts: int,
        express_threads: int,
        bulk_threads: int,
        together: int = 1,
        together_cost: int = 256,
        patience: float | None = None,
        observe: Observe | None = None,
    ) -> None:
        """`waiting_texts` bounds the queue. Up to `together` urgent texts share a call, while their padded size stays within
        `together_cost` tokens. An urgent batch that waited longer than `patience` seconds is refused with StorageBusyError.
        """
        self._provider = provider
        self._limit = waiting_texts
        self._roles = [Urgency.SHORT] * express_threads + [Urgency.BULK] * bulk_threads
        self._together = together
        self._together_cost = together_cost
        self._patience = patience
        self._observe = observe
        self._express: list[tuple[int, int, Batch]] = []
        self._bulk: list[tuple[int, int, Batch]] = []
        self._order = count()
        self._virtual_time = 0
        self._waiting = 0
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._closed = False

    def submit(self, batches: Sequence[Batch], urgency: Urgency) -> None:
        """Take all batches of a request, or raise StorageBusyError. One over the limit by itself is taken when nothing waits."""
        size = sum(len(batch.texts) for batch in batches)
        with self._changed:
            if self._closed:
                raise EmbeddingError("The embedder is closed: the service is stopping.")
            if self._waiting and self._waiting + size > self._limit:
                raise StorageBusyError(
                    f"Too many texts wait to be embedded ({self._waiting} windows, at most {self._limit}). Try again in a moment."
                )
            self._waiting += size
            now = time.monotonic()
            turn = self._virtual_time
            for batch in batches:
                batch.submitted, batch.urgent = now, urgency is not Urgency.BULK
                if urgency is Urgency.BULK:
                    heapq.heappush(self._bulk, (turn, next(self._order), batch))
                    turn += batch.cost
                else:
                    heapq.heappush(self._express, (urgency, next(self._order), batch))
            if not self._threads:
                self._start()
            self._changed.notify_all()

    def close(self) -> None:
        """Finish what was taken, then end the threads. Blocking; safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _start(self) -> None:
        for number, role in enumerate(self._roles):
            # Daemons: a caller that never closes must not keep the interpreter from ending.
            thread = threading.Thread(target=self._work, args=(role,), name=f"embed-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self, role: Urgency) -> None:
        while (batches := self._take(role)) is not None:
            self._run([batch for batch in batches if batch.future.set_running_or_notify_cancel()])

    def _take(self, role: Urgency) -> list[Batch] | None:
        """What to embed next in one call; None when there will be nothing any more."""
        with self._changed:
            while True:
                if self._express:
                    taken = self._take_urgent()
                elif self._bulk and role is Urgency.BULK:
                    self._virtual_time, _, batch = heapq.heappop(self._bulk)
                    taken = [batch]
                elif self._closed:
                    return None
                else:
                    self._changed.wait()
                    continue
                self._waiting -= sum(len(batch.texts) for batch in taken)
                return taken

    def _take_urgent(self) -> list[Batch]:
        """The first, and what waits behind it as far as one call is cheaper than several."""
        _, _, first = heapq.heappop(self._express)
        taken, texts, longest = [first], len(first.texts), first.cost
        while self._express:
            following = self._express[0][2]
            texts, longest = texts + len(following.texts), max(longest, following.cost)
            if texts > self._together or following.kind is not first.kind or texts * longest > self._together_cost:
                break
            heapq.heappop(self._express)
            taken.append(following)
        return taken

    def _run(self, batches: Sequence[Batch]) -> None:
        """Embed batches of one kind in one call; where that fails, each in a call of its own."""
        batches = [batch for batch in batches if not self._refuse_late(batch)]
        if not batches:
            return
        texts = [text for batch in batches for text in batch.texts]
        started = time.perf_counter()
        try:
            vectors = self._provider.embed(texts, batches[0].kind)
            if self._observe is not None:
                self._observe(len(texts), time.perf_counter() - started)
        except BaseException as error:  # noqa: BLE001  (whoever waits for the batch is the one to be told)
            if len(batches) > 1:
                for batch in batches:
                    self._run([batch])
            else:
                batches[0].future.set_exception(error)
            return
        for batch in batches:
            batch.future.set_result(vectors[: len(batch.texts)])
            vectors = vectors[len(batch.texts) :]

    def _refuse_late(self, batch: Batch) -> bool:
        waited = time.monotonic() - batch.submitted
        if self._patience is None or not batch.urgent or waited <= self._patience:
            return False
        batch.future.set_exception(
            StorageBusyError(
                f"A text waited {waited:.0f} seconds to be embedded: too much comes in. Try again in a moment."
            )
        )
        return True
