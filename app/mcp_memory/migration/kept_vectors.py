"""An embedder for migrations that keep every vector: it has a model's identity and needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_memory.domain.errors import EmbeddingError
from mcp_memory.domain.model import ModelIdentity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class KeptVectors:
    """Raises EmbeddingError where a memory has no vector that could be kept."""

    def __init__(self, identity: ModelIdentity) -> None:
        self.identity = identity

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        raise self._refusal([text])

    async def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise self._refusal(texts)

    def _refusal(self, texts: Sequence[str]) -> EmbeddingError:
        return EmbeddingError(
            f"{len(texts)} memories have no vector of {self.identity.name}: use --reembed to embed every text anew."
        )

    async def close(self) -> None:
        """Nothing to close."""
