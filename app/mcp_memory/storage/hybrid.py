"""Ranking by meaning and words together: pure arithmetic, the same for every backend.

score = cosine + 0.6 * BM25 / best BM25, over the best K of each list with both scores filled in for both.
On LoCoMo (1,535 questions about 5,882 conversation turns) recall@10 is .675, against .581 for reciprocal rank fusion with
k = 60, .630 for BM25 alone and .452 for cosine alone; the weight is flat between 0.4 and 0.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from mcp_memory.domain.memory import similarity_score

CANDIDATES: Final = 40
"""K: candidates taken from each list. Any K >= 20 gave .675 where both scores are filled in; a search costs half as much again
with 100."""

RESCORED: Final = 64
"""Least number of candidates whose originals are compared behind a quantized first pass, however few are asked for: with 2 for a
limit of 1 the second best came first in 3.8 % of 1,500 queries over 400 vectors, with 16 and more in none."""
MEASURED_LIMIT: Final = 10
"""The limit that oversampling is measured at: fewer results are chosen from as many candidates."""

BM25_WEIGHT: Final = 0.6


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its place in the answer; `cosine` None where no query vector took part."""

    id: str
    score: float
    cosine: float | None


def candidates(limit: int) -> int:
    """How many to take from each list: independent of the limit, so that a longer answer begins like a shorter one."""
    return max(CANDIDATES, limit)


def oversampled(limit: int, oversampling: float) -> float:
    """The factor that gives `limit` results enough candidates: those of MEASURED_LIMIT, and RESCORED at least."""
    return max(oversampling, max(RESCORED, MEASURED_LIMIT * oversampling) / max(1, limit))


def fuse(cosine: Mapping[str, float], bm25: Mapping[str, float]) -> list[Ranked]:
    """Best first; equal scores by id. Every candidate has a cosine; those without a BM25 score share no term with the query."""
    best = max(bm25.values(), default=0.0)
    weight = BM25_WEIGHT / best if best > 0.0 else 0.0
    return order(Ranked(id_, near + weight * bm25.get(id_, 0.0), near) for id_, near in cosine.items())


def order(found: Iterable[Ranked]) -> list[Ranked]:
    """Best first; equal scores by id, so that an answer is the same each time."""
    return sorted(found, key=lambda hit: (-hit.score, hit.id))


def near_enough(cosine: float | None, min_similarity: float | None) -> bool:
    """Whether a hit passes the query's bound; a hit without a cosine isn't judged by it."""
    return min_similarity is None or cosine is None or similarity_score(cosine) >= min_similarity
