"""Sparse BM25 vectors, computed in this process: the same for an embedded and for a server collection.

The engine multiplies a document's weights by each term's inverse document frequency (the IDF modifier of the sparse vector).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import qdrant_edge

from mcp_memory.storage.analysis import document_terms, query_terms

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
    """Texts to sparse vectors (indices, values), indices distinct. Not thread-safe: one instance a thread.

    The tokenizer's terms are those of every release; `analysis` adds what it lacks, so that a query also finds what was stored
    before there were such terms.
    """

    def __init__(self) -> None:
        self._words = _model(qdrant_edge.TokenizerType.Multilingual)
        self._numbers = _model(qdrant_edge.TokenizerType.Word)
        self._whole = _model(qdrant_edge.TokenizerType.Whitespace)

    def document(self, text: str) -> tuple[list[int], list[float]]:
        """Saturated term frequencies; empty for a text of stop words alone."""
        vector = self._words.embed_document(text)
        numbers = self._number_terms(text)
        more = document_terms(text)
        if not numbers and not more.whole and not more.words:
            return vector.indices, vector.values
        weights = dict(zip(vector.indices, vector.values, strict=True))
        if numbers:
            with_numbers = self._numbers.embed_document(text)
            for index, value in zip(with_numbers.indices, with_numbers.values, strict=True):
                if index in numbers:
                    weights.setdefault(index, value)
        for model, terms in ((self._whole, more.whole), (self._words, more.words)):
            if terms:
                added = model.embed_document(" ".join(terms))
                for index, value in zip(added.indices, added.values, strict=True):
                    weights.setdefault(index, value)
        return list(weights), list(weights.values())

    def query(self, text: str) -> tuple[list[int], list[float]]:
        """Weight 1 for each distinct term; empty for stop words alone."""
        indices = dict.fromkeys(self._words.embed_query(text).indices)
        indices |= dict.fromkeys(sorted(self._number_terms(text)))
        more = query_terms(text)
        for model, terms in ((self._whole, more.whole), (self._words, more.words)):
            if terms:
                indices |= dict.fromkeys(model.embed_query(" ".join(terms)).indices)
        return list(indices), [1.0] * len(indices)

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


def has_more_terms(text: str) -> bool:
    """Whether a memory that was stored with terms of version 1 lacks some."""
    more = document_terms(text)
    return bool(more.whole or more.words)
