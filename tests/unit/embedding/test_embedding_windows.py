"""Windows: nothing is cut off, nothing is too long, words stay whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_memory.embedding.base import EmbeddingProvider
from mcp_memory.embedding.windows import WindowSplitter, plain_tokenizer

WORDS = st.sampled_from(
    ["word", "antidisestablishmentarianism", "a-b", "漢字", "한국어", "🙂", "naïve", "x" * 99, "\n", "…", "İ"]
)
TEXTS = st.lists(WORDS | st.text(max_size=12), max_size=80).map(" ".join)


@pytest.fixture(scope="module")
def splitter(model_folder: Path) -> WindowSplitter:
    """Small windows, so that small texts have many."""
    return WindowSplitter(plain_tokenizer((model_folder / "tokenizer.json").read_text("utf-8")), 16)


@pytest.fixture(scope="module")
def count(model_folder: Path) -> Callable[[str], int]:
    tokenizer = plain_tokenizer((model_folder / "tokenizer.json").read_text("utf-8"))
    return lambda text: len(tokenizer.encode(text).ids)


def test_the_models_window_is_256_tokens_not_the_128_of_its_tokenizer_file(minilm: EmbeddingProvider) -> None:
    assert len(minilm.windows("word " * 254)) == 1
    assert len(minilm.windows("word " * 255)) == 2


@given(text=TEXTS)
@settings(max_examples=300, deadline=None)
def test_no_window_is_too_long_and_no_character_is_lost(
    splitter: WindowSplitter, count: Callable[[str], int], text: str
) -> None:
    windows = splitter.split(text)
    if len(windows) == 1 and windows[0] == text:
        assert count(text) <= 16
        return
    position = 0
    for window in windows:
        assert count(window) <= 16 or len(window) == 1
        found = text.index(window, position)
        assert count(text[position:found]) == 2, "what is left out between windows has no tokens"
        position = found + len(window)
    assert count(text[position:]) == 2


def test_words_stay_whole(splitter: WindowSplitter) -> None:
    text = "internationalization of preposterous misunderstandings " * 10
    assert {word for window in splitter.split(text) for word in window.split()} == set(text.split())


def test_the_prompt_has_its_place_in_the_window(model_folder: Path) -> None:
    tokenizer = plain_tokenizer((model_folder / "tokenizer.json").read_text("utf-8"))
    splitter = WindowSplitter(tokenizer, 16, "passage: ")
    assert splitter.limit == 16 - 2 - 2
    for window in splitter.split("word " * 50):
        assert len(tokenizer.encode("passage: " + window).ids) <= 16
