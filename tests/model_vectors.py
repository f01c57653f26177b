"""Vectors of the model that the service uses, computed in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from mcp_memory.embedding.options import EmbeddingOptions
from mcp_memory.embedding.select import build_embedder


def vectors_of(texts: Sequence[str]) -> np.ndarray:
    """float32[n, 384], as the original's databases hold them."""

    async def embed() -> np.ndarray:
        embedder = build_embedder(EmbeddingOptions())
        try:
            return await embedder.embed_documents(texts)
        finally:
            await embedder.close()

    return asyncio.run(embed())
