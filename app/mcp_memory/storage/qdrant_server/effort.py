"""How hard a search looks: measured on the collection itself, since no effort fits every size and every kind of data.

With one bit a dimension and factor 4, recall@10 was .963 on 50,000 sentences and .61 on a million.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mcp_memory.storage.qdrant_server.lifecycle import OpenCollection
from mcp_memory.storage.qdrant_server.reads import Reads
from mcp_memory.storage.qdrant_server.search import quick

if TYPE_CHECKING:
    from qdrant_client.models import QueryRequest, SearchParams

GRAPH: Final = ((4.0, 128), (4.0, 256), (4.0, 512), (4.0, 1024), (4.0, 2048))
QUANTIZED: Final = (
    (4.0, 128),
    (6.0, 128),
    (8.0, 128),
    (12.0, 256),
    (16.0, 256),
    (24.0, 512),
    (32.0, 512),
    (64.0, 1024),
    (128.0, 2048),
)
"""(oversampling, ef), the least first. Behind the last one every vector is compared."""
WANTED: Final = 0.993
WANTED_BINARY: Final = 0.97
"""Of the ten nearest, for stored memories as queries: real queries lie a little further from their answers."""
QUERIES: Final = 64
NEAREST: Final = 10
TIE: Final = 1e-6


def wanted(collection: OpenCollection) -> float:
    """The recall@10 that the sample has to reach: a little above the .95 promised below 4 bits, and the .99 otherwise."""
    return WANTED_BINARY if collection.quantization in ("binary", "turbo2") else WANTED


async def measured_effort(reads: Reads, collection: OpenCollection) -> tuple[OpenCollection, float]:
    """The collection with the least effort that reaches the target, and the recall@10 that it has."""
    steps = GRAPH if collection.quantization is None else QUANTIZED
    vectors = await _sample(reads)
    effort = replace(collection, oversampling=steps[0][0], ef=steps[0][1], exact=False)
    if not vectors:
        return effort, 1.0
    truth = await _nearest(reads, vectors, None)
    for oversampling, ef in steps:
        effort = replace(effort, oversampling=oversampling, ef=ef)
        found = await _nearest(reads, vectors, quick(effort, NEAREST + 1))
        recall = sum(map(_share, found, truth)) / len(truth)
        if recall >= wanted(collection):
            return effort, recall
    return replace(effort, exact=True), 1.0


def describe(collection: OpenCollection) -> str:
    """For people: what a search does."""
    if collection.exact:
        return "every vector is compared"
    if collection.quantization is None:
        return f"ef {collection.ef}"
    return f"ef {collection.ef}, oversampling {collection.oversampling:g}"


def _share(found: dict[str, float], truth: dict[str, float]) -> float:
    """The part of the true neighbours that is found; one as near as the last of them counts."""
    if not truth:
        return 1.0
    last = min(truth.values())
    return min(sum(id_ in truth or score >= last - TIE for id_, score in found.items()), len(truth)) / len(truth)


async def _sample(reads: Reads) -> dict[str, list[float]]:
    """Vectors by id of stored memories, drawn at random by the server."""
    from qdrant_client import models  # noqa: PLC0415

    name = reads.options.model.vector_name
    found = await reads.connection.run(
        lambda client: client.query_points(
            reads.alias,
            query=models.SampleQuery(sample=models.Sample.RANDOM),
            limit=QUERIES,
            with_payload=False,
            with_vectors=[name],
        ),
        "drawing memories",
    )
    vectors: dict[str, list[float]] = {}
    for point in found.points:
        given: Any = point.vector
        vectors[str(point.id)] = given[name]
    return vectors


async def _nearest(
    reads: Reads, vectors: dict[str, list[float]], params: SearchParams | None
) -> list[dict[str, float]]:
    """Cosines of the nearest of each but itself; exactly where no parameters are given."""
    from qdrant_client import models  # noqa: PLC0415

    exact = models.SearchParams(exact=True, quantization=models.QuantizationSearchParams(ignore=True))
    requests: list[QueryRequest] = [
        models.QueryRequest(
            query=vector, using=reads.options.model.vector_name, limit=NEAREST + 1, params=params or exact
        )
        for vector in vectors.values()
    ]
    answers: list[dict[str, float]] = []
    for start in range(0, len(requests), 10):
        answers += await reads.query(requests[start : start + 10], "measuring recall")
    return [
        {other: score for other, score in answer.items() if other != id_}
        for id_, answer in zip(vectors, answers, strict=True)
    ]
