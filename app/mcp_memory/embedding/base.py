"""EmbeddingProvider: what every provider of vectors promises, and Embedder, what the rest of the service calls."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mcp_memory.domain.model import ModelIdentity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TextKind(StrEnum):
    """Some models (e5, bge) want another prompt for a question than for a text that is stored."""

    QUERY = "query"
    DOCUMENT = "document"


class EmbeddingProvider(Protocol):
    """Turns texts that fit the model's window into vectors. Blocking: called in a worker thread, never on the event loop.

    One instance serves several threads at a time.
    """

    @property
    def identity(self) -> ModelIdentity:
        """Name, dimensions and fingerprint. May load weights' metadata, not the network."""

    def windows(self, text: str) -> list[str]:
        """Split a text into parts of at most the model's window (256 tokens for all-MiniLM-L6-v2); [text] where it fits."""

    def embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        """Embed texts that each fit one window: float32[n, d], L2-normalised, in order. Raises EmbeddingError."""

    def close(self) -> None: ...


class Embedder(Protocol):
    """What the use cases call: asynchronous, any length of text, batches sorted by length, bounded queue.

    The one implementation is `mcp_memory.embedding.embedder.WindowedEmbedder`, with any provider inside.
    """

    @property
    def identity(self) -> ModelIdentity: ...

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """float32[d], L2-normalised."""

    async def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[n, d], L2-normalised, in order. Long texts: normalised mean of their windows' vectors.

        Raises EmbeddingError, or StorageBusyError when the queue is full.
        """

    async def close(self) -> None: ...


@runtime_checkable
class Reader(Protocol):
    """A provider or an embedder that can tell which texts its model knows no words of. An endpoint can't."""

    def reads(self, text: str) -> bool:
        """False where the vector of the text means nothing."""
