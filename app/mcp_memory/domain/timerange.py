"""Time as people write it: "last week", "past 3 days", "since March 5", "between 2024-01 and 2024-03" are half-open ranges."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import tzinfo

from mcp_memory.domain.checks import LATEST_TIME, check_text, check_time
from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.periods import LocalCalendar, Period
from mcp_memory.domain.timephrases import parse_phrase

MAX_EXPRESSION_LENGTH = 200
_HOUR = 3600
RANGE_EXAMPLES = (
    '"yesterday", "last week", "past 3 days", "2 weeks ago", "in March 2024", "this morning", "2024-03-05", '
    '"since last monday", "before 2024", "from March 5 to March 9"'
)
INSTANT_EXAMPLES = '"2024-03-05", "2024-03-05T10:30:00Z", 1709634600 (UTC seconds), "yesterday", "2 hours ago"'

_FILLER = re.compile(r"(?:(?:from|in|during|within|over|on|at|for|of|the|sometime|whole|entire|all) )+(?=\S)")


_HYPHEN = re.compile(r"(?<=[a-z])-(?=[a-z0-9])|(?<=[0-9])-(?=[a-z])")


@dataclass(frozen=True, slots=True)
class TimeRange:
    """`start <= t < end` in UTC seconds; None: open on that side."""

    start: float | None
    end: float | None

    def __contains__(self, seconds: float) -> bool:
        return (self.start is None or self.start <= seconds) and (self.end is None or seconds < self.end)


def parse_time_range(expression: str, now: float, zone: tzinfo, *, field: str = "time_expr") -> TimeRange:
    """The range that an English or ISO 8601 expression means at `now` (UTC seconds) in `zone`.

    What lies in several years (a month, a weekday) is the latest that has begun: memories are in the past. "last" is the latest
    that has ended. "past 3 days" starts at a midnight, "past 3 hours" exactly then; both go on until now. "after X" includes X,
    "before X" ends where X begins, "from X to Y" and "until Y" include Y. Weeks start on Monday.

    Raises InvalidInputError with examples for anything else, and for ranges that end before they start.
    """
    text = _normalised(expression, field)
    calendar = LocalCalendar(now, zone)
    try:
        found = _range(text, calendar)
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise InvalidInputError(
            f"Can't read {expression.strip()!r} as a time. Examples: {RANGE_EXAMPLES}.", field=field
        )
    if found.start is not None and found.end is not None and found.start >= found.end:
        raise InvalidInputError(f"The time {expression.strip()!r} ends before it starts.", field=field)
    return found


def parse_instant(value: str | float, now: float, zone: tzinfo, *, field: str, behind: bool = False) -> float:
    """UTC seconds of an ISO date or date-time, of UTC seconds (also as a text), or of words; a period stands for its start.

    With `behind` a period that is longer than an hour (a day, a month) stands for its end: what comes after it. "2 days ago" is
    exactly that long ago. Raises InvalidInputError with examples for anything else.
    """
    if not isinstance(value, str):
        return check_time(value, field)
    text = _normalised(value, field)
    if re.fullmatch(r"\d{9,}(?:\.\d+)?", text, re.ASCII):
        return check_time(float(text), field)
    try:
        period = _phrase(text, LocalCalendar(now, zone))
    except (ValueError, OverflowError):
        period = None
    if period is None or not 0 <= period.instant <= LATEST_TIME:
        raise InvalidInputError(
            f"Can't read {field} {value.strip()!r} as a time. Examples: {INSTANT_EXAMPLES}.", field=field
        )
    if behind and period.end is not None and period.instant == period.start and period.end - period.start > _HOUR:
        return min(period.end, LATEST_TIME)
    return period.instant


def _normalised(expression: str, field: str) -> str:
    text = " ".join(check_text(expression, field).lower().split()).strip(" .!?,;")
    if len(text) > MAX_EXPRESSION_LENGTH:
        raise InvalidInputError(
            f"{field} has {len(text):,} characters, more than a time takes. Examples: {RANGE_EXAMPLES}.", field=field
        )
    return text


def _range(text: str, calendar: LocalCalendar) -> TimeRange | None:
    """The first reading that makes sense: "since yesterday" is a connective and a phrase, "2024-03-05" a phrase alone."""
    for pattern, combine in _CONNECTIVES:
        if (match := pattern.fullmatch(text)) and (found := combine(match, calendar)):
            return found
    period = _phrase(text, calendar)
    return TimeRange(period.start, period.end) if period else None


def _since(match: re.Match[str], calendar: LocalCalendar) -> TimeRange | None:
    period = _phrase(match["x"], calendar)
    return TimeRange(period.instant, None) if period else None


def _before(match: re.Match[str], calendar: LocalCalendar) -> TimeRange | None:
    period = _phrase(match["x"], calendar)
    return TimeRange(None, period.instant) if period else None


def _until(match: re.Match[str], calendar: LocalCalendar) -> TimeRange | None:
    period = _phrase(match["x"], calendar)
    return TimeRange(None, period.end) if period else None


def _age(match: re.Match[str], calendar: LocalCalendar) -> TimeRange | None:
    period = _phrase(f"{match['x']} ago", calendar)
    if period is None:
        return None
    return TimeRange(period.instant, None) if match["verb"] == "newer" else TimeRange(None, period.instant)


def _from_to(match: re.Match[str], calendar: LocalCalendar) -> TimeRange | None:
    """From the start of one period to the end of the other. A first one without its year is the latest before the other."""
    start, end = _phrase(match["x"], calendar), _phrase(match["y"], calendar)
    if start is None or end is None:
        return None
    if start.recurring:
        start = _phrase(match["x"], LocalCalendar(end.start, calendar.zone)) or start
    return TimeRange(start.instant, end.end)


def _phrase(text: str, calendar: LocalCalendar) -> Period | None:
    """Also with its words joined by hyphens ("last-2-weeks")."""
    bare = _FILLER.sub("", text, count=1)
    return (
        parse_phrase(text, calendar) or parse_phrase(bare, calendar) or parse_phrase(_HYPHEN.sub(" ", bare), calendar)
    )


_CONNECTIVES = (
    (re.compile(r"between (?P<x>.+?) and (?P<y>.+)"), _from_to),
    (re.compile(r"(?:from )?(?P<x>.+?)(?: (?:to|until|till|through|-|\u2013) | ?\.\. ?)(?P<y>.+)"), _from_to),
    (re.compile(r"(?P<verb>newer|older) than (?P<x>.+)"), _age),
    (
        re.compile(r"(?:since|after|starting(?: from| on)?|beginning(?: from| on)?|newer than|from) (?!of )(?P<x>.+)"),
        _since,
    ),
    (re.compile(r"(?:from )?(?P<x>.+?) (?:onwards?|(?:until|till|to) now)"), _since),
    (re.compile(r"(?:before|earlier than|older than|prior to) (?P<x>.+)"), _before),
    (re.compile(r"(?:until|till|up to|through|by) (?P<x>.+)"), _until),
)
