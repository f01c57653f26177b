"""What a model's similarities mean: below which one a hit is a stranger, from which one two texts say nearly the same.

The default model was measured at leisure (docs/benchmarks.md, "Nothing fits"). Any other is measured by the service itself, with
facts and questions that are known, in the background of the first search or store: models differ too much for one number.
Strangers reach 0.63 with all-MiniLM-L6-v2, and 0.89 with e5-small-v2.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from mcp_memory.domain.errors import MemoryServiceError
from mcp_memory.embedding.base import Embedder
from mcp_memory.memories.known_answers import PAIRS

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)
LOST: Final = 1
"""Answers of the forty that a floor may take for strangers."""
TOLD: Final = 0.25
"""Part of the questions without an answer that a floor must tell, or it isn't worth its mistakes."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Two places on a model's scale."""

    floor: float | None
    """The similarity_score, `(1 + cosine) / 2`, that the best hit reaches where there is an answer; None: no such number."""
    similar: float
    """The cosine from which two texts say something about the same thing."""


MEASURED: Final = {"all-MiniLM-L6-v2": Marks(floor=0.66, similar=0.7)}
"""By model. At 0.66, 97.5 % of the answers are kept, and 87.5 % of the questions without one are told, in both modes. No two of
40 different facts were nearer than 0.42; "PostgreSQL 14" and "PostgreSQL 16" in one sentence are at 0.9 and more."""
UNKNOWN: Final = Marks(floor=None, similar=0.7)


class Scale:
    """The marks of one embedder's model."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._measuring: asyncio.Task[Marks] | None = None

    def marks(self) -> Marks:
        """What is known now. The first call begins to measure; nobody waits for it."""
        name = self._embedder.identity.name.rsplit("/", 1)[-1]
        if name in MEASURED:
            return MEASURED[name]
        if self._measuring is None:
            self._measuring = asyncio.create_task(self._measured(), name="scale of the model")
        done = self._measuring.done() and not self._measuring.cancelled()
        return self._measuring.result() if done else UNKNOWN

    async def settled(self) -> Marks:
        """As `marks`, after the measurement."""
        self.marks()
        if self._measuring is not None:
            await self._measuring
        return self.marks()

    async def _measured(self) -> Marks:
        try:
            marks = await measure(self._embedder)
        except MemoryServiceError as error:
            log.warning("similarities of this model stay unjudged until the next start: %s", error.message)
            return UNKNOWN
        log.info("%s measured: %s", self._embedder.identity.name, marks)
        return marks


async def measure(embedder: Embedder) -> Marks:
    """By the rules below. Embeds eighty short texts. Raises EmbeddingError."""
    facts = await embedder.embed_documents([fact for fact, _ in PAIRS])
    questions = np.stack([await embedder.embed_query(question) for _, question in PAIRS])
    similarity = (1.0 + questions @ facts.T) / 2.0
    strangers = np.where(np.eye(len(PAIRS), dtype=bool), 0.0, similarity).max(axis=1)
    nearest = np.where(np.eye(len(PAIRS), dtype=bool), -1.0, facts @ facts.T).max()
    return Marks(floor_between(np.diag(similarity), strangers), similar_above(float(nearest)))


def similar_above(nearest: float) -> float:
    """Half-way between the nearest two of the different facts and the same text: 0.71 with all-MiniLM-L6-v2."""
    return round((1.0 + nearest) / 2.0, 3)


def floor_between(own: NDArray[np.float32], strangers: NDArray[np.float32]) -> float | None:
    """The highest floor that all but one of the answers reach; None where it tells less than a quarter of the strangers.

    `own` is the similarity of each question with its answer, `strangers` with the nearest of the other texts.
    """
    floor = float(np.sort(own)[LOST])
    return round(floor - 0.0005, 3) if float((strangers < floor).mean()) >= TOLD else None
