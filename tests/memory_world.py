"""Memories over the reference storage, an embedder that knows words only, and a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field

from embedders import HashEmbedder
from mcp_memory.domain.memory import content_hash
from mcp_memory.memories.context import MemoriesOptions
from mcp_memory.memories.requests import NewMemory
from mcp_memory.memories.service import Memories
from reference_storage import ReferenceStorage


class Clock:
    """1,800,000,000 s (2027-01-15 08:00 UTC, a Friday), one second later with every reading."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@dataclass
class World:
    """The parts of a test, all of them real but for the model."""

    clock: Clock = field(default_factory=Clock)
    embedder: HashEmbedder = field(default_factory=HashEmbedder)
    options: MemoriesOptions = field(default_factory=lambda: MemoriesOptions(max_content_length=1000))

    def __post_init__(self) -> None:
        self.storage = ReferenceStorage(clock=self.clock)

    @property
    def memories(self) -> Memories:
        return Memories(self.storage, self.embedder, self.options, clock=self.clock)

    async def keep(self, *texts: str, **fields: object) -> list[str]:
        """Store texts with the same fields; their hashes."""
        await self.memories.store_many([NewMemory(text, **fields) for text in texts])  # type: ignore[arg-type]
        return [content_hash(text) for text in texts]

    async def contents(self) -> list[str]:
        """Everything stored, as text, sorted."""
        return sorted([memory.content async for memory in self.memories.export()])
