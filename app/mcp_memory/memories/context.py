"""What every use case works with: the storage, the embedder, the options and the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING

import numpy as np

from mcp_memory.domain.errors import DimensionMismatchError, EmbeddingError, InvalidInputError, MemoryNotFoundError
from mcp_memory.domain.hashes import nothing_named, spellings
from mcp_memory.domain.memory import Memory
from mcp_memory.embedding.base import Embedder, Reader
from mcp_memory.memories.scale import Scale
from mcp_memory.storage.base import BaseStorage

if TYPE_CHECKING:
    from numpy.typing import NDArray


SHORT_HASH = 12
"""Digits from which a hash may be given short, as the tools show it."""


@dataclass(frozen=True, slots=True)
class MemoriesOptions:
    """What the settings decide about the use cases."""

    max_content_length: int = 65_536
    """Longest content of a new memory, in characters."""
    semantic_dedup_enabled: bool = False
    semantic_dedup_threshold: float = 0.95
    """Cosine from which a new text counts as a duplicate of a stored one of the same store."""
    agent_id: str | None = None
    """Who stores a memory where neither the call nor its metadata names an agent (MCP_AGENT_ID)."""
    zone: tzinfo = UTC
    """Where "yesterday" begins (MCP_TIMEZONE or the system's zone)."""


@dataclass(frozen=True, slots=True)
class Context:
    storage: BaseStorage
    embedder: Embedder
    options: MemoriesOptions
    clock: Callable[[], float]
    scale: Scale

    async def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[n, d], checked: no search could rank a vector that isn't finite. Raises EmbeddingError."""
        return self._checked(await self.embedder.embed_documents(texts))

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """float32[d], checked."""
        return self._checked(await self.embedder.embed_query(text))

    def reads(self, text: str) -> bool:
        """Whether the model knows words of this text, so that its vector means something."""
        return not isinstance(self.embedder, Reader) or self.embedder.reads(text)

    def _checked(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        identity = self.embedder.identity
        if vectors.shape[-1] != identity.dimensions:
            raise DimensionMismatchError(expected=identity.dimensions, got=vectors.shape[-1])
        if not np.isfinite(vectors).all():
            raise EmbeddingError(
                f"The embedding model {identity.name} answered with NaN or an infinite number. "
                "This text was not stored; check the model."
            )
        return vectors

    async def named(self, name: str) -> Memory | None:
        """The memory of this hash, id of another store, or short hash. Raises InvalidInputError for an ambiguous one."""
        names = spellings(name)
        there = await self.storage.get(names)
        return next((there[one] for one in names if one in there), None) or await self.shortened(name)

    async def shortened(self, name: str) -> Memory | None:
        """The memory whose hash begins so; None for what is no short hash. Raises InvalidInputError where it fits several."""
        short = name.strip().lower()
        if not _is_short(short):
            return None
        found = await _hashes_with_prefix(self.storage, short)
        if len(found) > 1:
            raise InvalidInputError(
                f"The short hash {short} fits several memories ({', '.join(found)}): give the whole hash.",
                field="content_hash",
            )
        return (await self.storage.get(found)).get(found[0]) if found else None

    async def existing(self, content_hash: str, store: str | None) -> Memory:
        """The memory of this hash. Raises MemoryNotFoundError where there is none, or it is in another store than `store`."""
        memory = await self.named(content_hash)
        if memory is None:
            raise nothing_named(content_hash)
        if store is not None and memory.store != store:
            raise MemoryNotFoundError(content_hash)
        return memory


async def _hashes_with_prefix(storage: BaseStorage, prefix: str) -> list[str]:
    """Hashes that begin so, at most two: what a short hash stands for. Read from the versions of all memories."""
    found: list[str] = []
    async for batch in storage.versions():
        found += [version.content_hash for version in batch if version.content_hash.startswith(prefix)]
        del found[2:]
    return found


def _is_short(text: str) -> bool:
    return SHORT_HASH <= len(text) < len("0" * 64) and all(digit in "0123456789abcdef" for digit in text)


def numbered(index: int, error: InvalidInputError) -> InvalidInputError:
    """The error of one item of a batch, saying which."""
    return InvalidInputError(f"Item {index}: {error.message}", field=error.field)
