"""Texts that the model knows no words of: stored, found by their words, and similar to nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from embedders import HashEmbedder
from mcp_memory.domain.memory import content_hash
from mcp_memory.memories.context import MemoriesOptions
from mcp_memory.memories.requests import NewMemory, SearchRequest
from memory_world import World

pytestmark = pytest.mark.anyio
TEXTS = ("ประชุม ทีม", "ตลาด น้ำ", "🎉🎉", "🔥")


class Ascii(HashEmbedder):
    """Knows words of ASCII letters; everything else has one vector."""

    def reads(self, text: str) -> bool:
        return any(character.isascii() and character.isalnum() for character in text)

    def _vector(self, text: str) -> NDArray[np.float32]:
        return super()._vector(text if self.reads(text) else "[UNK]")


@pytest.fixture
def world() -> World:
    return World(embedder=Ascii(), options=MemoriesOptions(semantic_dedup_enabled=True, semantic_dedup_threshold=0.9))


async def test_they_are_no_duplicates_of_each_other(world: World) -> None:
    for text in TEXTS[:2]:
        assert (await world.memories.store(NewMemory(text))).stored
    results = await world.memories.store_many([NewMemory(text) for text in TEXTS])
    assert [result.status.value for result in results] == ["duplicate", "duplicate", "stored", "stored"]


async def test_a_text_that_is_read_is_no_duplicate_of_one_that_is_not(world: World) -> None:
    await world.keep(TEXTS[0])
    assert (await world.memories.store(NewMemory("[UNK]"))).stored


async def test_such_a_query_is_ranked_by_words_alone(world: World) -> None:
    await world.keep(*TEXTS, "deploy on tuesdays")
    hybrid = await world.memories.search(SearchRequest(TEXTS[0]))
    assert [hit.memory.content for hit in hybrid.hits] == [TEXTS[0]]
    assert (await world.memories.search(SearchRequest(TEXTS[0], mode="semantic"))).hits == []


async def test_they_are_similar_to_nothing(world: World) -> None:
    await world.keep(*TEXTS, "deploy on tuesdays", "deploy on mondays")
    assert (await world.memories.similar(content_hash(TEXTS[0]))).hits == []
    found = await world.memories.similar(content_hash("deploy on tuesdays"))
    assert [hit.memory.content for hit in found.hits] == ["deploy on mondays"]
