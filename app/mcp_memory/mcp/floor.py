"""When nothing that was found fits: the best hit of a search is below the model's floor (memories/scale.py), and shares too few
words with the query in hybrid mode. A model without a floor has its answers shown as found."""

from __future__ import annotations

import re
from typing import Final

from mcp_memory.memories.requests import SearchAnswer

NEAREST: Final = 3
"""Hits that are shown where none fits."""
_WORD = re.compile(r"\w{3,}")
_SHARED = 0.67
"""Part of the query's words that one hit has: then its words fit, whatever the meaning is measured at (names, error codes)."""
_STOP = re.compile(
    r"the|and|for|are|was|were|what|when|where|which|who|whom|whose|why|how|does|did|has|have|had|with|from|"
    r"into|about|this|that|these|those|you|your|our|his|her|their|its|can|could|should|would|will|shall|may|"
    r"might|not|name|tell|please|show|give|all|any"
)


def fits(answer: SearchAnswer, floor: float | None) -> bool:
    """Whether the best of what was found is near enough to be an answer. Always where no meaning was compared."""
    if floor is None or answer.mode not in ("hybrid", "semantic") or not answer.hits:
        return True
    if max(hit.similarity_score or 0.0 for hit in answer.hits) >= floor:
        return True
    return answer.mode == "hybrid" and any(shares_words(answer.query, hit.memory.content) for hit in answer.hits)


def shares_words(query: str, text: str) -> bool:
    wanted = {word for word in _WORD.findall(query.casefold()) if not _STOP.fullmatch(word)}
    return bool(wanted) and len(wanted & set(_WORD.findall(text.casefold()))) >= _SHARED * len(wanted)
