"""Whether a model can read a text: what it knows no word of has a vector that means nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LOOKED_AT: Final = 4_000
"""Characters of a text that tell."""
_UNKNOWN: Final = frozenset({"[UNK]", "<unk>"})
"""How vocabularies spell what they lack. Those that fall back on bytes lack nothing."""


def is_readable(tokenizer: Tokenizer, text: str) -> bool:
    """Whether at least half of the text's characters belong to tokens that the model knows; punctuation doesn't count.

    All texts of unknown tokens have nearly the same vector, whatever they say: in all-MiniLM-L6-v2 Thai and emoji.
    """
    text = text[:LOOKED_AT]
    encoding = tokenizer.encode(text, add_special_tokens=False)
    known = unknown = 0
    for token, (start, end) in zip(encoding.tokens, encoding.offsets, strict=True):
        if token in _UNKNOWN:
            unknown += end - start
        else:
            known += sum(map(str.isalnum, text[start:end]))
    return known > 0 and known >= unknown
