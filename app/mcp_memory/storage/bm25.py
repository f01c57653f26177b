"""Sparse BM25 vectors, computed in this process: the same for an embedded and for a server collection.

The engine multiplies a document's weights by each term's inverse document frequency (the IDF modifier of the sparse vector).
"""

from __future__ import annotations

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
}
"""Part of a collection's identity: documents and queries of other settings don't meet.

The multilingual tokenizer splits Chinese and Japanese into words, where the default takes a whole run as one, and keeps English
stemming and stop words (LoCoMo recall@10 .631 with either). `avg_len` 256 was the best of 16, 32, 64 and 256 (.615 to .630).
"""


class Bm25:
    """Texts to sparse vectors (indices, values), indices distinct. Not thread-safe: one instance a thread."""

    def __init__(self) -> None:
        self._model = qdrant_edge.Bm25(
            qdrant_edge.Bm25Config(
                k=float(SETTINGS["k"]),
                b=float(SETTINGS["b"]),
                avg_len=float(SETTINGS["avg_len"]),
                tokenizer=qdrant_edge.TokenizerType.Multilingual,
                language=str(SETTINGS["language"]),
            )
        )

    def document(self, text: str) -> tuple[list[int], list[float]]:
        """Saturated term frequencies; empty for a text of stop words alone."""
        vector = self._model.embed_document(text)
        return vector.indices, vector.values

    def query(self, text: str) -> tuple[list[int], list[float]]:
        """Weight 1 for each distinct term; empty for stop words alone."""
        vector = self._model.embed_query(text)
        return vector.indices, vector.values
