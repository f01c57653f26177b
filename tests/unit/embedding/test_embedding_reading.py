"""Which texts the default model can read."""

from __future__ import annotations

import pytest

from mcp_memory.embedding.base import EmbeddingProvider, Reader

READABLE = ["Deploy on Tuesdays", "404", "naïve café", "C++", "Great 🎉", "Встреча завтра", "a\n\nb"]
UNREADABLE = ["ประชุมทีมวันพรุ่งนี้", "🎉🎉🎉", "...", "!?", "—", "ประชุมทีมวันพรุ่งนี้ 2024", "ភាសាខ្មែរ", "🧪 🔥 ✅", " ", "x" * 300]


@pytest.mark.parametrize("text", READABLE)
def test_a_text_of_known_tokens_is_read(minilm: EmbeddingProvider, text: str) -> None:
    assert isinstance(minilm, Reader)
    assert minilm.reads(text)


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_text_of_unknown_tokens_or_punctuation_is_not_read(minilm: EmbeddingProvider, text: str) -> None:
    assert isinstance(minilm, Reader)
    assert not minilm.reads(text)
