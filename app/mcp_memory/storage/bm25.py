"""Sparse BM25 vectors, computed in this process: the same for an embedded and for a server collection.

The engine multiplies a document's weights by each term's inverse document frequency (the IDF modifier of the sparse vector).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import qdrant_edge

SPARSE_NAME: Final = "bm25"
"""Name of the sparse vector in a collection."""

SETTINGS: Final[Mapping[str, str | float]] = {
    "tokenizer": "multilingual",
    "language": "english",
    "k": 1.2,
    "b": 0.75,
    "avg_len": 256.0,
    "numbers": "word",
}
"""Part of a collection's identity: documents and queries of other settings don't meet.

The multilingual tokenizer splits Chinese and Japanese into words, where the default takes a whole run as one, and keeps English
stemming and stop words (LoCoMo recall@10 .631 with either). `avg_len` 256 was the best of 16, 32, 64 and 256 (.615 to .630).
It drops terms made of digits alone, and people look for error 404, port 8080, issue 1234: the word tokenizer adds those.
"""
_NUMBER = re.compile(r"(?<!\w)[0-9]+(?!\w)")


class Bm25:
    """Texts to sparse vectors (indices, values), indices distinct. Not thread-safe: one instance a thread."""

    def __init__(self) -> None:
        self._words = _model(qdrant_edge.TokenizerType.Multilingual)
        self._numbers = _model(qdrant_edge.TokenizerType.Word)

    def document(self, text: str) -> tuple[list[int], list[float]]:
        """Saturated term frequencies; empty for a text of stop words alone."""
        vector = self._words.embed_document(text)
        numbers = self._number_terms(text)
        if not numbers:
            return vector.indices, vector.values
        weights = dict(zip(vector.indices, vector.values, strict=True))
        with_numbers = self._numbers.embed_document(text)
        for index, value in zip(with_numbers.indices, with_numbers.values, strict=True):
            if index in numbers:
                weights.setdefault(index, value)
        return list(weights), list(weights.values())

    def query(self, text: str) -> tuple[list[int], list[float]]:
        """Weight 1 for each distinct term; empty for stop words alone."""
        indices = self._words.embed_query(text).indices
        indices += sorted(self._number_terms(text).difference(indices))
        return indices, [1.0] * len(indices)

    def _number_terms(self, text: str) -> set[int]:
        """The terms of a text that are digits alone."""
        found = _NUMBER.findall(text)
        return set(self._numbers.embed_query(" ".join(found)).indices) if found else set()


def _model(tokenizer: qdrant_edge.TokenizerType) -> qdrant_edge.Bm25:
    return qdrant_edge.Bm25(
        qdrant_edge.Bm25Config(
            k=float(SETTINGS["k"]),
            b=float(SETTINGS["b"]),
            avg_len=float(SETTINGS["avg_len"]),
            tokenizer=tokenizer,
            language=str(SETTINGS["language"]),
        )
    )
