"""An embedder for tests in which the model is not the thing under test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcp_memory.domain.model import ModelIdentity

if TYPE_CHECKING:
    from numpy.typing import NDArray


class HashEmbedder:
    """Texts that share words are near each other; it knows nothing of meaning ("car" and "automobile" are unrelated).

    Each word gets a fixed random direction; a text is the normalised sum of its words' directions. `embedded` lists the
    documents that were embedded, so that a test can tell that none were.
    """

    def __init__(self, dimensions: int = 384) -> None:
        self.identity = ModelIdentity("hash-projection", dimensions, hashlib.sha256(b"hash-projection").hexdigest())
        self.embedded: list[str] = []

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        return self._vector(text)

    async def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += texts
        return np.stack([self._vector(text) for text in texts])

    async def close(self) -> None:
        """Nothing to close."""

    def _vector(self, text: str) -> NDArray[np.float32]:
        words = text.lower().split() or [text]
        total = np.sum([self._direction(word) for word in words], axis=0)
        return (total / np.linalg.norm(total)).astype(np.float32)

    def _direction(self, word: str) -> NDArray[np.float64]:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
        return np.random.default_rng(seed).standard_normal(self.identity.dimensions)
