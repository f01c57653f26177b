"""A model's similarities are judged by what that model makes of known facts and questions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedders import HashEmbedder
from mcp_memory.domain.errors import EmbeddingError
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.embedding.options import EmbeddingOptions
from mcp_memory.embedding.select import build_embedder
from mcp_memory.mcp.tools.search import MEMORY_SEARCH
from mcp_memory.memories.known_answers import PAIRS
from mcp_memory.memories.requests import NewMemory
from mcp_memory.memories.scale import MEASURED, UNKNOWN, Scale, floor_between, measure
from mcp_memory.memories.service import Memories
from memory_world import World
from reference_storage import ReferenceStorage

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.anyio


class Raised:
    """A model that finds everything alike: cosines of the default one, squeezed into 0.7 to 1, as e5's are."""

    def __init__(self) -> None:
        self._inner = build_embedder(EmbeddingOptions())
        self.identity = ModelIdentity("raised", 385, "0" * 64)

    def _raised(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        shared = np.full((*vectors.shape[:-1], 1), np.sqrt(0.7), dtype=np.float32)
        return np.concatenate([vectors * np.float32(np.sqrt(0.3)), shared], axis=-1)

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        return self._raised(await self._inner.embed_query(text))

    async def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._raised(await self._inner.embed_documents(texts))

    async def close(self) -> None:
        await self._inner.close()


async def test_the_rule_gives_the_default_model_what_was_measured_for_it() -> None:
    embedder = build_embedder(EmbeddingOptions())
    marks = await measure(embedder)
    known = MEASURED["all-MiniLM-L6-v2"]
    assert marks.floor == pytest.approx(known.floor, abs=0.02)
    assert marks.similar == pytest.approx(known.similar, abs=0.02)
    assert Scale(embedder).marks() == known
    await embedder.close()


async def test_another_model_gets_a_floor_of_its_own_and_says_that_nothing_fits() -> None:
    embedder = Raised()
    memories = Memories(ReferenceStorage(385), embedder)
    await memories.store_many([NewMemory(fact) for fact, _ in PAIRS])
    assert memories.marks == UNKNOWN  # nobody waits for the measurement
    marks = await memories._context.scale.settled()
    assert marks.floor is not None
    assert marks.floor > 0.87
    assert marks.similar > 0.9
    strange = await MEMORY_SEARCH.call(memories, {"query": "Which planet has the most moons?", "mode": "semantic"})
    assert strange.text.startswith("Nothing fits well. Nearest:")
    assert strange.structured["message"] == "Nothing fits well. Nearest:"
    assert len(strange.structured["memories"]) == 3
    known = await MEMORY_SEARCH.call(memories, {"query": "What is the name of Anna's dog?"})
    assert known.text.startswith("Found 10 memories")
    await embedder.close()


@pytest.mark.parametrize("mode", ["hybrid", "semantic"])
async def test_a_stranger_is_told_with_the_default_model_and_three_are_shown(mode: str) -> None:
    embedder = build_embedder(EmbeddingOptions())
    memories = Memories(ReferenceStorage(), embedder)
    await memories.store_many([NewMemory(fact) for fact, _ in PAIRS if "dog" not in fact])
    answer = await MEMORY_SEARCH.call(memories, {"query": "What is the name of my dog?", "mode": mode})
    assert answer.text.startswith("Nothing fits well. Nearest:")
    assert len(answer.structured["memories"]) == 3
    assert answer.text.count("\n  ") == 3
    words = await MEMORY_SEARCH.call(memories, {"query": "E1234"})  # words fit, whatever the meaning is measured at
    assert words.text.startswith("Found")
    asked = await MEMORY_SEARCH.call(memories, {"query": "What is the name of my dog?", "similarity_threshold": 0.1})
    assert asked.text.startswith("Found")  # who gives a bound has said what fits
    await embedder.close()


async def test_a_model_that_tells_nothing_apart_has_no_floor() -> None:
    assert (await measure(HashEmbedder())).floor is None
    alike = np.linspace(0.5, 0.9, 40, dtype=np.float32)
    assert floor_between(alike, alike + np.float32(0.3)) is None
    assert floor_between(alike + np.float32(0.3), alike) is not None


async def test_a_model_that_fails_is_left_unjudged_and_the_search_answered(world: World) -> None:
    class Failing(HashEmbedder):
        async def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
            if len(texts) == len(PAIRS):
                raise EmbeddingError("the endpoint is gone")
            return await super().embed_documents(texts)

    memories = Memories(world.storage, Failing())
    await memories.store(NewMemory("tea"))
    assert (await MEMORY_SEARCH.call(memories, {"query": "tea"})).text.startswith("Found 1")
    assert await memories._context.scale.settled() == UNKNOWN
    assert asyncio.current_task() is not None
