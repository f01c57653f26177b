"""Whether vectors that are stored come from the model at hand: texts are embedded once more and compared.

An endpoint shows neither its weights nor a change of them. The same model may answer at another address, and another one at the
same: what it says of stored texts decides, wherever a store is opened with one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from mcp_memory.domain.errors import ModelChangedError
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.embedding.base import Embedder
from mcp_memory.embedding.embedder import EndpointEmbedder
from mcp_memory.migration.validation import cosine
from mcp_memory.storage.base import BaseStorage, opened

if TYPE_CHECKING:
    from mcp_memory.domain.memory import EmbeddedMemory, Vector

log = logging.getLogger(__name__)

SAMPLE = 16
SAMPLE_READ = 500
SAME_MODEL = 0.95
"""Cosine of a stored vector and one made now, from which both come of one model: 1.0000 where they do, far below where not."""


async def median_cosine(sample: Sequence[tuple[str, Vector]], embedder: Embedder) -> float | None:
    """Of stored vectors and those that the texts get now; None without any."""
    if not sample:
        return None
    now = await embedder.embed_documents([content for content, _ in sample])
    return float(np.median([cosine(stored, made) for (_, stored), made in zip(sample, now, strict=True)]))


async def gives_stored_vectors(storage: BaseStorage, embedder: Embedder) -> bool:
    """Whether the embedder makes the vectors that the open storage holds; True for an empty one. One call of the model.

    Raises EmbeddingError.
    """
    first: list[EmbeddedMemory] = await anext(aiter(storage.iterate(batch_size=SAMPLE_READ)), [])
    shortest = sorted(first, key=lambda item: len(item.memory.content))[:SAMPLE]
    near = await median_cosine([(item.memory.content, item.vector) for item in shortest], embedder)
    log.debug("cosine %s over %d stored texts", near, len(shortest))
    return near is None or near >= SAME_MODEL


def may_be_same(stored: ModelIdentity, ours: ModelIdentity) -> bool:
    """Names and sizes agree, so that comparing vectors makes sense."""
    return stored.dimensions == ours.dimensions and short_name(stored.name) == short_name(ours.name)


async def open_proven(storage: BaseStorage, build: Callable[[], BaseStorage], embedder: Embedder) -> BaseStorage:
    """The storage, open, whose vectors are the embedder's; another one, of `build`, where an endpoint takes the identity of them.

    Raises ModelChangedError where they are another model's, and what `initialize` raises; nothing is left open then.
    """
    try:
        if not isinstance(embedder, EndpointEmbedder):
            await storage.initialize()
            return storage
        try:
            await storage.initialize()
        except ModelChangedError as changed:
            stored = ModelIdentity(changed.old_model, changed.old_dimensions, changed.old_fingerprint)
            if not stored.fingerprint or not may_be_same(stored, embedder.own_identity):
                raise
            await storage.close()
            embedder.adopt(stored)
            storage = build()
            await storage.initialize()
        await _check(storage, embedder)
    except BaseException:
        if isinstance(embedder, EndpointEmbedder):
            embedder.adopt(None)
        await storage.close()
        raise
    return storage


async def _check(storage: BaseStorage, embedder: EndpointEmbedder) -> None:
    stored, own = embedder.identity, embedder.own_identity
    if not await gives_stored_vectors(storage, embedder):
        raise ModelChangedError(
            old_model=stored.name,
            new_model=own.name,
            old_dimensions=stored.dimensions,
            new_dimensions=own.dimensions,
            old_fingerprint=stored.fingerprint,
        )
    if stored != own:
        log.info("the endpoint of %s gives the vectors that are stored: they are kept, none is embedded anew", own.name)


async def adopt(stored: ModelIdentity, storage: BaseStorage, embedder: Embedder) -> bool:
    """Whether an endpoint's embedder goes by the identity of the vectors in a storage now, as they are proven its own.

    Where they aren't, it goes by one that no vector of the storage has: what it embeds isn't mixed with them.
    """
    if not isinstance(embedder, EndpointEmbedder) or not may_be_same(stored, embedder.own_identity):
        return False
    async with opened(storage):
        proven = await gives_stored_vectors(storage, embedder)
    if proven:
        embedder.adopt(stored)
        return True
    own = embedder.own_identity
    if own.fingerprint == stored.fingerprint:
        embedder.adopt(replace(own, fingerprint=sha256(f"after {own.fingerprint}".encode()).hexdigest()))
    return False


def short_name(model: str) -> str:
    """`sentence-transformers/all-MiniLM-L6-v2` and `all-MiniLM-L6-v2` are one model."""
    return model.strip().rsplit("/", 1)[-1].lower()
