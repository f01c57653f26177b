"""How hard a search looks: the least effort that finds what an exact scan finds, measured on the store's own vectors.

No fixed effort is right: with binary vectors a factor of 4 gave recall@10 .96 at 50,000 sentences and .61 at a million, 8 gave
.82 at 100,000 vectors of 250 texts with 400 noisy variations each.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Generator
from typing import Final

import msgspec

from mcp_memory.domain.query import EVERYTHING
from mcp_memory.storage.qdrant_embedded.collection import MEASURE_FROM, Collection
from mcp_memory.storage.qdrant_embedded.manifest import Quantization

log = logging.getLogger(__name__)

NEAREST: Final = 10
SAMPLES: Final = 64
GROWTH: Final = 1.5
"""Measured again when there are this many times the memories, or that part of them."""
WANTED: Final[dict[str, float]] = {"turbo4": 0.993, "binary": 0.965}
"""Recall@10 of the sample: a little above the .99 and .95 that are promised."""
TIE: Final = 1e-6
_STEPS: Final = {
    "turbo4": ((2.0, 128), (4.0, 128), (4.0, 256), (8.0, 512), (16.0, 1024), (32.0, 2048)),
    "binary": (
        (4.0, 128),
        (6.0, 128),
        (8.0, 128),
        (12.0, 256),
        (16.0, 256),
        (24.0, 512),
        (32.0, 512),
        (64.0, 1024),
        (128.0, 2048),
    ),
}
"""(oversampling, ef), the least first. Behind the last one every original is compared."""


def is_due(quantization: Quantization, count: int) -> bool:
    """Whether the collection has become another one since its effort was chosen."""
    known = quantization.measured
    return count >= MEASURE_FROM and not known / GROWTH < count < known * GROWTH


def measure(collection: Collection) -> Generator[None, None, tuple[Quantization, float]]:
    """The effort to search with and the recall@10 that it has, a query at a time; the collection's own is left as it is."""
    count = collection.count(EVERYTHING)
    kind = collection.quantization.kind
    samples = _sample(collection)
    truth = []
    for id_, vector in samples.items():
        yield
        near = collection.near(vector, EVERYTHING, limit=NEAREST, without=id_, exact=True)
        truth.append(near)
    for oversampling, ef in _STEPS[kind]:
        effort = Quantization(kind, oversampling, ef, exact=False, measured=count)
        shares = []
        for (id_, vector), near in zip(samples.items(), truth, strict=True):
            yield
            found = collection.near(vector, EVERYTHING, limit=NEAREST, without=id_, effort=effort)
            shares.append(_share(found, near))
        recall = sum(shares) / len(shares) if shares else 1.0
        if recall >= WANTED[kind]:
            log.info("oversampling %g and ef %d give recall@10 %.3f", oversampling, ef, recall)
            return effort, recall
    log.info("every original is compared: no index gives recall@10 %.3f", WANTED[kind])
    return msgspec.structs.replace(effort, exact=True), 1.0


def measure_at_once(collection: Collection) -> Quantization:
    """As `measure`, for a process that serves nobody."""
    job = measure(collection)
    while True:
        try:
            next(job)
        except StopIteration as end:
            effort: Quantization = end.value[0]
            return effort


def describe(quantization: Quantization) -> str:
    """For people: what a search does."""
    if quantization.exact:
        return "every vector is compared"
    return f"ef {quantization.ef}, oversampling {quantization.oversampling:g}"


def _share(found: dict[str, float], truth: dict[str, float]) -> float:
    """The part of the true neighbours that is found; one as near as the last of them counts."""
    if not truth:
        return 1.0
    last = min(truth.values())
    hits = sum(id_ in truth or score >= last - TIE for id_, score in found.items())
    return min(hits, len(truth)) / len(truth)


def _sample(collection: Collection) -> dict[str, bytes]:
    """Vectors by id, the same ones each time: ids are hashes, so that every memory is about as likely."""
    draw = random.Random(0)  # noqa: S311 - a sample, not a secret
    found: dict[str, bytes] = {}
    for _ in range(SAMPLES):
        after = str(uuid.UUID(int=draw.getrandbits(128)))
        found |= {one.id: one.vector for one in collection.scroll(EVERYTHING, limit=1, after=after)}
    return found
