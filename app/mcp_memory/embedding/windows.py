"""Long texts are cut into windows that the model can read whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


def plain_tokenizer(definition: str) -> Tokenizer:
    """A tokenizer from the text of a tokenizer.json that neither truncates nor pads.

    Published files do both: all-MiniLM-L6-v2's at 128 tokens, half its window.
    """
    from tokenizers import Tokenizer  # noqa: PLC0415

    tokenizer = Tokenizer.from_str(definition)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class WindowSplitter:
    """Cuts at word boundaries into parts of at most the window, special tokens and the longest prompt included.

    `tokenizer` must neither truncate nor pad.
    """

    def __init__(self, tokenizer: Tokenizer, window: int, prompt: str = "") -> None:
        self.tokenizer = tokenizer
        reserved = tokenizer.num_special_tokens_to_add(is_pair=False)
        if prompt:
            reserved += len(tokenizer.encode(prompt, add_special_tokens=False).ids)
        self.limit = window - reserved
        """Tokens of the text itself in one window."""

    def split(self, text: str) -> list[str]:
        """[text] where it fits; else its parts in order, white space between them left out."""
        if len(text.encode()) <= self.limit:  # a token stands for at least one byte
            return [text]
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        if len(encoding.ids) <= self.limit:
            return [text]
        return [part for start, end in self._spans(encoding) for part in self._checked(text[start:end])]

    def _spans(self, encoding: Encoding) -> Iterator[tuple[int, int]]:
        """Character ranges of as many whole words as fit; a word longer than a window is cut between characters."""
        start = end = None
        used = 0
        for word_start, word_end, size in self._pieces(encoding):
            if start is None or used + size > self.limit:
                if start is not None and end is not None:
                    yield start, end
                start, used = word_start, 0
            end = word_end
            used += size
        if start is not None and end is not None:
            yield start, end

    def _pieces(self, encoding: Encoding) -> Iterator[tuple[int, int, int]]:
        """(start, end, tokens) of each word; of each character group inside a word that fills a window by itself."""
        words, offsets = encoding.word_ids, encoding.offsets
        position = 0
        while position < len(words):
            behind = position + 1
            while behind < len(words) and words[behind] == words[position]:
                behind += 1
            if behind - position <= self.limit:
                yield offsets[position][0], offsets[behind - 1][1], behind - position
            else:
                while position < behind:
                    group = position + 1
                    while group < behind and offsets[group][0] < offsets[position][1]:
                        group += 1  # several tokens of one character, as of a Hangul syllable
                    yield offsets[position][0], offsets[group - 1][1], group - position
                    position = group
            position = behind

    def _checked(self, part: str) -> list[str]:
        """The part, halved until it fits: cut inside a word, or out of its context, it may have more tokens than before."""
        if len(part) < 2 or len(self.tokenizer.encode(part, add_special_tokens=False).ids) <= self.limit:
            return [part]
        middle = len(part) // 2
        return self._checked(part[:middle]) + self._checked(part[middle:])
