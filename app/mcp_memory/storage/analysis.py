"""Terms that a tokenizer made for spaces doesn't give: the same for documents and for queries, whatever stands around a word.

A dictionary cuts a run of Chinese, Japanese or Thai by its context, so that a word of a text isn't always a word of the query.
Runs of such scripts (and of Korean, whose words carry particles) are therefore taken as all their single characters and pairs of
neighbours: a query of two characters and more shares all its pairs with every text that holds it.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Final, NamedTuple

VERSION: Final = 2
"""Of the terms that stored memories have. 1: without those of this module."""

_UNSPACED: Final = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han, kana
    "\u1100-\u11ff\uac00-\ud7af"  # Hangul
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ebd\u0ec0-\u0ece\u0edc-\u0edf"  # Thai, Lao
    "\u0f40-\u0fbc\u1000-\u103f\u1050-\u109f\u1780-\u17d3"  # Tibetan, Burmese, Khmer
)
_RUN: Final = re.compile(f"[{_UNSPACED}]+")
_NUMBER: Final = re.compile(r"[0-9]+")
_JOINED: Final = re.compile(r"(?<![a-z0-9])[a-z0-9]++(?:[-._:/]++[a-z0-9]++)+")
"""foo_bar, ora-00942, v1.2.3 (a digit or an underscore tells them from words): found as a whole, besides their parts.

It begins only where a run begins and gives nothing back: linear in the text's length, whatever stands in it.
"""
_SPELT: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe"})
_WORD: Final = re.compile(r"\w+")
_SPELT_OTHERWISE: Final = re.compile("[äöüßæø]")
_IDENTIFIER: Final = re.compile(r"[0-9_]")


class Terms(NamedTuple):
    """What a text has beyond the tokenizer's own terms."""

    whole: list[str]
    """Characters, pairs and identifiers: as they are."""
    words: list[str]
    """Other spellings of words (Krueger, Strasse), to be stemmed like any word."""


def document_terms(text: str) -> Terms:
    return _terms(text, query=False)


def query_terms(text: str) -> Terms:
    """As of a document, but for single characters: they are looked for where they stand alone."""
    return _terms(text, query=True)


def _terms(text: str, *, query: bool) -> Terms:
    if text.isascii():
        return Terms(_identifiers(text.lower()), [])
    folded = unicodedata.normalize("NFKC", text).lower()
    whole: list[str] = []
    runs = _RUN.findall(folded)
    for run in runs:
        units = _units(run)
        if not query or len(units) == 1:
            whole += units
        whole += [first + second for first, second in pairwise(units)]
    if runs:
        whole += _NUMBER.findall(_RUN.sub(" ", folded))
    return Terms(whole + _identifiers(folded), _other_spellings(folded))


def _other_spellings(text: str) -> list[str]:
    return [word.translate(_SPELT) for word in _WORD.findall(text) if _SPELT_OTHERWISE.search(word)]


def _identifiers(text: str) -> list[str]:
    return [found for found in _JOINED.findall(text) if _IDENTIFIER.search(found)]


def _units(run: str) -> list[str]:
    """Characters, each with the marks that belong to it."""
    units: list[str] = []
    for character in run:
        if units and unicodedata.category(character).startswith("M"):
            units[-1] += character
        else:
            units.append(character)
    return units
