"""When nothing that was found fits: below which similarity the best hit of a search is a stranger.

Measured by `python -m benchmarks.floor` with 40 facts and a question about each, once with the fact stored and once without it
(docs/benchmarks.md, "Nothing fits"). A model that wasn't measured has no floor: its answers are shown as found.
"""

from __future__ import annotations

import re
from typing import Final

from mcp_memory.memories.requests import SearchAnswer

NEAREST: Final = 3
"""Hits that are shown where none fits."""
FLOORS: Final = {"all-MiniLM-L6-v2": 0.66}
"""By model: the similarity_score, `(1 + cosine) / 2`, that the best hit reaches where there is an answer.

At 0.66, 97.5 % of the answers are kept, and 87.5 % of the questions without one are told, in both modes."""
_WORD = re.compile(r"\w{3,}")
_SHARED = 0.67
"""Part of the query's words that one hit has: then its words fit, whatever the meaning is measured at (names, error codes)."""
_STOP = re.compile(
    r"the|and|for|are|was|were|what|when|where|which|who|whom|whose|why|how|does|did|has|have|had|with|from|"
    r"into|about|this|that|these|those|you|your|our|his|her|their|its|can|could|should|would|will|shall|may|"
    r"might|not|name|tell|please|show|give|all|any"
)


def fits(answer: SearchAnswer, model: str) -> bool:
    """Whether the best of what was found is near enough to be an answer. Always where no meaning was compared."""
    floor = FLOORS.get(model.rsplit("/", 1)[-1])
    if floor is None or answer.mode not in ("hybrid", "semantic") or not answer.hits:
        return True
    if max(hit.similarity_score or 0.0 for hit in answer.hits) >= floor:
        return True
    return answer.mode == "hybrid" and any(shares_words(answer.query, hit.memory.content) for hit in answer.hits)


def shares_words(query: str, text: str) -> bool:
    wanted = {word for word in _WORD.findall(query.casefold()) if not _STOP.fullmatch(word)}
    return bool(wanted) and len(wanted & set(_WORD.findall(text.casefold()))) >= _SHARED * len(wanted)
