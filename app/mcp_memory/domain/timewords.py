"""The words that times are made of: patterns with named groups, and what a match of each group means."""

from __future__ import annotations

import re
from datetime import date

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
"""First months of the meteorological seasons of the northern hemisphere; a winter is named by the year of its December."""
DAY_PARTS = {"morning": (5, 12), "noon": (11, 14), "afternoon": (12, 18), "evening": (17, 23), "night": (21, 29)}
"""Hours of the day; a night ends at five on the next."""
NUMBERS = {"a": 1, "an": 1, "a couple of": 2, "couple of": 2, "a few": 3, "few": 3} | {
    word: count
    for count, word in enumerate(
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), 1
    )
}
ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4}
HOLIDAYS = {"christmas": (12, 25, 3), "new year": (1, 1, 3), "valentine": (2, 14, 1), "halloween": (10, 31, 3)}
"""Month, day, and the days before and after that the word takes in, as in the original service; Thanksgiving moves, by 3 days."""
HOLIDAY_DAYS = {
    "christmas eve": (12, 24),
    "christmas day": (12, 25),
    "new year eve": (12, 31),
    "new year day": (1, 1),
    "valentine day": (2, 14),
}
PARTS = ("beginning", "start", "middle", "end")
RECENT_DAYS = 7
SHORT_UNITS = {"h": "hour", "d": "day", "w": "week", "y": "year", "min": "minute", "mins": "minute"}

COUNT = rf"(?P<count>\d{{1,6}}|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})"
UNIT = r"(?P<unit>second|minute|hour|day|week|month|quarter|year)s?"
SHORT = rf"(?P<short>{'|'.join(sorted(SHORT_UNITS, key=len, reverse=True))})"
WHICH = r"(?:(?P<which>last|previous|this|current) )?"
MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
YEAR = r"(?:(?:,|,? (?:of )?)(?P<year>(?:19|20)\d\d|last year|this year))"
DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
WEEKDAY = r"(?P<weekday>mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?"
QUARTER = r"(?:q(?P<number>[1-4])|(?P<ordinal>first|second|third|fourth|1st|2nd|3rd|4th) quarter)"
HOLIDAY = r"(?P<holiday>christmas|new year(?:'?s)?|valentine(?:'?s)?|halloween|thanksgiving)"
ISO_TIME = r"(?P<time>\d\d:\d\d(?P<second>:\d\d(?P<fraction>[.,]\d{1,9})?)?)"
CLOCK = r"(?P<hour>[012]?\d)(?::(?P<minute>[0-5]\d))? ?(?P<half>am|pm)?"


def read_count(match: re.Match[str]) -> int:
    """The number of the group `count`, in digits or a word; 1 without it."""
    text = match.groupdict().get("count") or "1"
    return int(text) if text.isdigit() else NUMBERS[text]


def read_unit(match: re.Match[str]) -> str:
    """The unit's name in full."""
    return match.groupdict().get("unit") or SHORT_UNITS[match["short"]]


def read_which(match: re.Match[str]) -> str | None:
    """last, this, or None."""
    which = match["which"]
    return {"previous": "last", "current": "this"}.get(which, which)


def read_year(match: re.Match[str], today: date) -> int | None:
    """The year that is named, in digits or as last or this year; None without one."""
    text = match["year"]
    if text in ("last year", "this year"):
        return today.year - (text == "last year")
    return int(text) if text else None
