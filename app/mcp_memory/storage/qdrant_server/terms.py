"""Bringing memories that were stored with older terms to those that keyword search knows now, while it serves."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from mcp_memory.domain.errors import StorageError
from mcp_memory.storage.analysis import VERSION
from mcp_memory.storage.bm25 import SPARSE_NAME, Bm25, has_more_terms
from mcp_memory.storage.qdrant_server.points import sparse
from mcp_memory.storage.qdrant_server.schema import TERMS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qdrant_client.models import PointVectors, Record

    from mcp_memory.storage.qdrant_server.reads import Reads

log = logging.getLogger(__name__)

AFTER: Final = "terms_after"
"""In the metadata: the last id that has been brought up to date, where a sweep goes on after an interruption."""
BATCH: Final = 128
NOTED_EVERY: Final = 50
"""Batches between two notes of how far it is."""


async def bring_up_to_date(reads: Reads, metadata: Mapping[str, Any]) -> int:
    """Count the terms of memories that lack some; how many those were. Others may do the same at the same time."""
    if int(metadata.get(TERMS) or 1) >= VERSION:
        return 0
    after = metadata.get(AFTER) or None
    bm25, changed, number = Bm25(), 0, 0
    while records := await _page(reads, after):
        changed += await _write(reads, records, bm25)
        after, number = str(records[-1].id), number + 1
        if number % NOTED_EVERY == 0:
            await _note(reads, {AFTER: after})
            log.info("keyword search of '%s' finds more words: %d memories done", reads.alias, number * BATCH)
    await _note(reads, {TERMS: VERSION, AFTER: None})
    log.info("keyword search of '%s' finds more words in %d memories", reads.alias, changed)
    return changed


async def _write(reads: Reads, records: Sequence[Record], bm25: Bm25) -> int:
    """Memories of this batch that lacked terms. Those deleted meanwhile are left out."""
    contents = {str(record.id): str((record.payload or {}).get("content", "")) for record in records}
    points = {id_: _vectors(id_, text, bm25) for id_, text in contents.items() if has_more_terms(text)}
    if not points:
        return 0
    try:
        await _update(reads, list(points.values()))
    except StorageError:
        there = await reads.payloads(list(points), only=["content_hash"])
        if len(there) == len(points):
            raise
        await _update(reads, [points[id_] for id_ in there])
    return len(points)


def _vectors(id_: str, text: str, bm25: Bm25) -> PointVectors:
    from qdrant_client.models import PointVectors  # noqa: PLC0415

    return PointVectors(id=id_, vector={SPARSE_NAME: sparse(*bm25.document(text))})


async def _update(reads: Reads, points: list[PointVectors]) -> None:
    if points:
        await reads.connection.write(
            lambda client: client.update_vectors(reads.alias, points, wait=True),
            f"counting the words of {len(points)} memories",
        )


async def _page(reads: Reads, after: str | None) -> list[Record]:
    found, _ = await reads.connection.run(
        lambda client: client.scroll(
            reads.alias, limit=BATCH + 1, offset=after, with_payload=["content"], with_vectors=False
        ),
        "reading memories whose words are counted",
    )
    return [record for record in found if str(record.id) != after][:BATCH]


async def _note(reads: Reads, metadata: dict[str, Any]) -> None:
    await reads.connection.run(
        lambda client: client.update_collection(reads.alias, metadata=metadata), "noting which words are counted"
    )
