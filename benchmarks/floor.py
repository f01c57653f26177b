"""Where a hit is a stranger: best similarity of a question with its fact stored, and with that fact alone left out.

`python -m benchmarks.floor` prints what docs/benchmarks.md shows under "Nothing fits", for the model of the settings.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import numpy as np

from mcp_memory.embedding.select import EmbeddingOptions, build_embedder
from mcp_memory.mcp.floor import shares_words
from mcp_memory.memories.known_answers import PAIRS
from mcp_memory.memories.scale import floor_between, similar_above

if TYPE_CHECKING:
    from numpy.typing import NDArray


async def main() -> None:
    embedder = build_embedder(EmbeddingOptions(os.environ.get("MCP_EMBEDDING_MODEL") or EmbeddingOptions().model))
    facts = await embedder.embed_documents([fact for fact, _ in PAIRS])
    questions = np.stack([await embedder.embed_query(question) for _, question in PAIRS])
    await embedder.close()
    similarity = (1.0 + questions @ facts.T) / 2.0
    own = np.diag(similarity)
    strangers = np.where(np.eye(len(PAIRS), dtype=bool), 0.0, similarity).max(axis=1)
    print(f"model {embedder.identity.name}, {len(PAIRS)} facts and questions")
    for what, values in (("its fact is stored", own), ("its fact is left out", strangers)):
        print(what, "5 %, 25 %, 50 %, 75 %, 95 %:", *np.percentile(values, [5, 25, 50, 75, 95]).round(3))
    print("floor by the rule for models that weren't measured:", floor_between(own, strangers))
    words = [shares_words(question, fact) for fact, question in PAIRS]
    others = [
        any(shares_words(question, fact) for place, (fact, _) in enumerate(PAIRS) if place != number)
        for number, (_, question) in enumerate(PAIRS)
    ]
    print("floor  semantic: kept, told  hybrid: kept, told")
    for floor in np.quantile(np.concatenate([own, strangers]), np.linspace(0.05, 0.95, 19)):
        near, far = own >= floor, strangers >= floor
        print(
            f"{floor:.3f}  {near.mean():.3f} {1 - far.mean():.3f}  "
            f"{(near | np.array(words)).mean():.3f} {1 - (far | np.array(others)).mean():.3f}"
        )
    pairs = similarity_of_facts(facts)
    print("cosine of each fact's nearest other fact, 50 %, 95 %, most:", *np.percentile(pairs, [50, 95, 100]).round(3))
    print("similar by the rule, as a cosine:", similar_above(float(pairs.max())))


def similarity_of_facts(facts: NDArray[np.float32]) -> NDArray[np.float32]:
    cosines = facts @ facts.T
    np.fill_diagonal(cosines, -1.0)
    nearest: NDArray[np.float32] = cosines.max(axis=1)
    return nearest


if __name__ == "__main__":
    asyncio.run(main())
