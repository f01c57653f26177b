"""Memories and vectors for storage tests: small, seeded, and telling when they are wrong."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np

from mcp_memory.domain.memory import EmbeddedMemory, JsonValue, Memory, content_hash
from mcp_memory.domain.model import ModelIdentity

if TYPE_CHECKING:
    from mcp_memory.domain.memory import Vector

DIMENSIONS = 32
MODEL = ModelIdentity("sample-model", DIMENSIONS, "5a3d1e00c0ffee00")
START = 1_750_000_000.0
_TEXT = (
    "stored searching memory vectors kernel disk backup server deploy index shard tokens quantum garden river "
    "mountain coffee python rust engine failure restart memories runner walking 北京大学 食物 café naïve straße"
)
WORDS = tuple(_TEXT.split())


def vector(seed: int, dimensions: int = DIMENSIONS) -> Vector:
    """A unit vector that only this seed gives."""
    drawn = np.random.default_rng(seed).normal(size=dimensions).astype(np.float32)
    unit: Vector = drawn / np.linalg.norm(drawn)
    return unit


def memory(
    content: str,
    *,
    seed: int | None = None,
    created_at: float = START,
    tags: tuple[str, ...] = (),
    memory_type: str | None = None,
    metadata: dict[str, JsonValue] | None = None,
    store: str = "default",
) -> EmbeddedMemory:
    """A memory whose vector follows from `seed`, or from the content."""
    hash_ = content_hash(content)
    made = Memory(
        content=content,
        content_hash=hash_,
        created_at=created_at,
        updated_at=created_at,
        tags=tags,
        memory_type=memory_type,
        metadata=metadata or {},
        store=store,
    )
    return EmbeddedMemory(made, vector(int(hash_[:8], 16) if seed is None else seed))


def collection(count: int, seed: int = 0) -> list[EmbeddedMemory]:
    """`count` different memories; tags, types, stores and times repeat, so that filters and ties have something to do."""
    draw = random.Random(seed)
    return [
        memory(
            f"{' '.join(draw.choices(WORDS, k=draw.randint(1, 12)))} {number}",
            created_at=START + draw.choice([0.0, 0.0, 1.0, 2.5, 86_400.0, 86_400.0, draw.random() * 1e6]),
            tags=tuple(draw.sample(["a", "b", "c", "d", "ünï"], k=draw.randint(0, 3))),
            memory_type=draw.choice([None, "note", "decision"]),
            metadata={"number": number},
            store=draw.choice(["default", "default", "work"]),
        )
        for number in range(count)
    ]
