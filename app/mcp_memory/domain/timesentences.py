"""Finding the time in a question: "what did we decide last week about Atlas" is "last week" and the rest.

The time grammar itself is the domain's; here its longest reading inside a sentence is looked for.
"""

from __future__ import annotations

import re
from datetime import UTC

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.timerange import parse_time_range

_MAX_WORDS = 60
"""Of a question: a longer text is no question but a document, and holds no time worth looking for."""
_MAX_SPAN = 12
_HINT = re.compile(
    r"\d|(?:to)?day|yester|to?night|week|month|year|quarter|hour|minute|morning|noon|evening|spring|summer|autumn|fall|winter|"
    r"recent|lately|of late|earlier|christmas|valentine|halloween|thanksgiving|half|"
    r"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
)
_ALONE = re.compile(
    r"today|yesterday|tonight|(?:mon|tues|wednes|thurs|fri|satur|sun)day|\d{4}-\d\d(?:-\d\d)?(?:t\S+)?"
    r"|recent|recently|lately|christmas|thanksgiving|halloween|\d\d?/\d\d?/\d{4}"
    r"|(?:last|this|past|previous)-(?:\d+-)?(?:day|week|month|quarter|year)s?"
)
"""Words that mean a time even without another: "may", "march", "spring" or "3d" don't."""
_LEADING = frozenset({"from", "in", "during", "on", "of", "over", "within", "around", "the"})
_OPEN_ENDED = re.compile(r"\b(?:to|until|till|through|onwards?|on|now)\b")


def split_time(question: str, now: float) -> tuple[str | None, str | None]:
    """(time expression, the rest), each None where there is none. The rest is the question without the time's words."""
    words = question.split()
    plain = [_plain(word) for word in words]
    if len(words) > _MAX_WORDS:
        return None, question
    for length in range(min(_MAX_SPAN, len(words)), 0, -1):
        for start in range(len(words) - length + 1):
            span = plain[start : start + length]
            if _means_a_time(span, now):
                while start and plain[start - 1] in _LEADING:
                    start, length = start - 1, length + 1  # noqa: PLW2901
                rest = " ".join(words[:start] + words[start + length :]).strip(" ,;:?!.")
                return " ".join(span), rest or None
    return None, question


def _plain(word: str) -> str:
    """Without outer punctuation and possessive: "week's" is "week"."""
    return re.sub(r"['\u2019]s$", "", word.lower().strip("\"'()[]{}.,;:!?"))


def _means_a_time(span: list[str], now: float) -> bool:
    text = " ".join(span)
    if not _HINT.search(text) or not span[0] or not span[-1]:
        return False
    if len(span) - (span[0] == "the") <= 1 and not _ALONE.fullmatch(text):
        return False
    if span[0] == "from" and not _OPEN_ENDED.search(text):
        return False  # In a question "from last week" means in it; alone it would mean since then.
    try:
        parse_time_range(text, now, UTC)
    except InvalidInputError:
        return False
    return True
