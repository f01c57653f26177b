"""The words for one period: "yesterday", "past 3 days", "last monday evening", "March 5, 2024", "2024-Q1", "2024-03-05T10:30Z".

Each phrase is a pattern and the period that it means. What several of them make together (since, before, between) is `timerange`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import cache

from mcp_memory.domain.periods import LocalCalendar, Period

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
ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4}
SHORT_UNITS = {"h": "hour", "d": "day", "w": "week", "y": "year", "min": "minute", "mins": "minute"}

_COUNT = rf"(?P<count>\d{{1,6}}|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})"
_UNIT = r"(?P<unit>second|minute|hour|day|week|month|quarter|year)s?"
_SHORT = rf"(?P<short>{'|'.join(sorted(SHORT_UNITS, key=len, reverse=True))})"
_WHICH = r"(?:(?P<which>last|previous|this|current) )?"
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_YEAR = r"(?:(?:,|,? (?:of )?)(?P<year>(?:19|20)\d\d|last year|this year))"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_WEEKDAY = r"(?P<weekday>mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?"
_QUARTER = r"(?:q(?P<number>[1-4])|(?P<ordinal>first|second|third|fourth) quarter)"
_ISO_TIME = r"(?P<time>\d\d:\d\d(?P<second>:\d\d(?P<fraction>[.,]\d{1,9})?)?)"
_CLOCK = r"(?P<hour>[012]?\d)(?::(?P<minute>[0-5]\d))? ?(?P<half>am|pm)?"

_Handler = Callable[[re.Match[str], LocalCalendar], "Period | None"]


def parse_phrase(text: str, calendar: LocalCalendar) -> Period | None:
    """The period a phrase stands for, or None where it is not one. `text` is lower-case with single blanks.

    Raises ValueError or OverflowError for dates that don't exist ("2024-02-30").
    """
    for pattern, handler in _phrases():
        if (match := pattern.fullmatch(text)) and (period := handler(match, calendar)):
            return period
    return None


def _named_day(match: re.Match[str], calendar: LocalCalendar) -> Period:
    offset = {"today": 0, "yesterday": -1}.get(match[0], -2)
    return calendar.day(calendar.today + timedelta(days=offset))


def _calendar_unit(match: re.Match[str], calendar: LocalCalendar) -> Period:
    return calendar.unit(match["unit"], -1 if match["which"] in ("last", "previous") else 0)


def _past(match: re.Match[str], calendar: LocalCalendar) -> Period:
    return calendar.past(_count(match), _unit(match))


def _ago(match: re.Match[str], calendar: LocalCalendar) -> Period:
    return calendar.ago(_count(match), _unit(match))


def _count(match: re.Match[str]) -> int:
    text = match.groupdict().get("count") or "1"
    return int(text) if text.isdigit() else NUMBERS[text]


def _unit(match: re.Match[str]) -> str:
    return match.groupdict().get("unit") or SHORT_UNITS[match["short"]]


def _which(match: re.Match[str]) -> str | None:
    which = match["which"]
    return {"previous": "last", "current": "this"}.get(which, which)


def _year(match: re.Match[str], calendar: LocalCalendar) -> int | None:
    text = match["year"]
    if text in ("last year", "this year"):
        return calendar.today.year - (text == "last year")
    return int(text) if text else None


def _of_year(match: re.Match[str], calendar: LocalCalendar, in_year: Callable[[int], Period | None]) -> Period | None:
    """Of the year that is named, else of the year that `which` (last, this or none) leads to."""
    groups = match.groupdict()
    if year := _year(match, calendar):
        return None if groups.get("which") else in_year(year)
    which = _which(match) if "which" in groups else None
    return calendar.latest(lambda offset: in_year(calendar.today.year + offset), which)


def _month(match: re.Match[str], calendar: LocalCalendar) -> Period | None:
    number = MONTHS.index(match["month"][:3]) + 1
    return _of_year(match, calendar, lambda year: calendar.months(year, number))


def _month_day(match: re.Match[str], calendar: LocalCalendar) -> Period | None:
    month, day = MONTHS.index(match["month"][:3]) + 1, int(match["day"])

    def in_year(year: int) -> Period | None:
        if (month, day) == (2, 29) and not match["year"] and year % 4:
            return None
        return calendar.day(date(year, month, day))

    return _of_year(match, calendar, in_year)


def _season(match: re.Match[str], calendar: LocalCalendar) -> Period | None:
    return _of_year(match, calendar, lambda year: calendar.months(year, SEASONS[match["season"]], 3))


def _quarter(match: re.Match[str], calendar: LocalCalendar) -> Period | None:
    number = int(match["number"] or ORDINALS[match["ordinal"]])
    return _of_year(match, calendar, lambda year: calendar.months(year, 3 * number - 2, 3))


def _weekday(match: re.Match[str], calendar: LocalCalendar) -> Period:
    days = WEEKDAYS.index(match["weekday"][:3])
    monday = calendar.today - timedelta(days=calendar.today.weekday())
    return calendar.latest(lambda weeks: calendar.day(monday + timedelta(weeks=weeks, days=days)), _which(match))


def _weekday_of_week(match: re.Match[str], calendar: LocalCalendar) -> Period:
    week = calendar.today + timedelta(weeks=-1 if _which(match) == "last" else 0)
    monday = week - timedelta(days=week.weekday())
    return calendar.day(monday + timedelta(days=WEEKDAYS.index(match["weekday"][:3])))


def _weekend(match: re.Match[str], calendar: LocalCalendar) -> Period:
    return calendar.latest(calendar.weekend, _which(match))


def _iso_year(match: re.Match[str], calendar: LocalCalendar) -> Period:
    return calendar.months(int(match["year"]), 1, 12)


def _iso_month(match: re.Match[str], calendar: LocalCalendar) -> Period:
    first = date(int(match["year"]), int(match["month"]), 1)
    return calendar.months(first.year, first.month)


def _iso_week(match: re.Match[str], calendar: LocalCalendar) -> Period:
    monday = date.fromisocalendar(int(match["year"]), int(match["week"]), 1)
    return calendar.days(monday, monday + timedelta(weeks=1))


def _iso_day(match: re.Match[str], calendar: LocalCalendar) -> Period:
    return calendar.day(date(int(match["year"]), int(match["month"]), int(match["day"])))


def _iso_moment(match: re.Match[str], calendar: LocalCalendar) -> Period:
    """A date-time of the zone, or of the offset it names; as a period, the minute, second or millisecond that it stands for."""
    offset = (match["offset"] or "").replace("utc", "z").upper()
    moment = datetime.fromisoformat(f"{match['date']}T{match['time']}{offset}")
    start = (moment if moment.tzinfo else moment.replace(tzinfo=calendar.zone)).timestamp()
    length = 0.001 if match["fraction"] else 1 if match["second"] else 60
    return Period(start, start + length, start)


def _day_part(match: re.Match[str], calendar: LocalCalendar) -> Period | None:
    period = _single_day("today" if match["phrase"] == "this" else match["phrase"], calendar)
    if period is None:
        return None
    day = datetime.fromtimestamp(period.start, calendar.zone).date()
    first, last = DAY_PARTS[match["part"]]
    start = calendar.seconds(day, time(first))
    end = calendar.seconds(day + timedelta(days=last // 24), time(last % 24))
    return replace(period, start=start, end=end, instant=start)


def _tonight(match: re.Match[str], calendar: LocalCalendar) -> Period:
    """Tonight and last night begin with the evening."""
    day = calendar.today - timedelta(days=1 if match[0] == "last night" else 0)
    start = calendar.seconds(day, time(DAY_PARTS["evening"][0]))
    return Period(start, calendar.seconds(day + timedelta(days=1), time(5)), start)


def _day_and_clock(match: re.Match[str], calendar: LocalCalendar) -> Period | None:
    if not (match["minute"] or match["half"]):
        return None
    period = _single_day(match["phrase"] or "today", calendar)
    if period is None:
        return None
    hour = int(match["hour"])
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match["half"] == "pm" else 0)
    day = datetime.fromtimestamp(period.start, calendar.zone).date()
    start = calendar.seconds(day, time(hour, int(match["minute"] or 0)))
    return replace(period, start=start, end=start + (60 if match["minute"] else 3600), instant=start)


def _single_day(text: str, calendar: LocalCalendar) -> Period | None:
    """A phrase without a time of day that means one day."""
    for pattern, handler in _days():
        if match := pattern.fullmatch(text):
            return handler(match, calendar)
    return None


_DAYS: tuple[tuple[str, _Handler], ...] = (
    (r"today|yesterday|(?:the )?day before yesterday", _named_day),
    (rf"{_COUNT} (?P<unit>day)s? ago", _ago),
    (rf"{_WHICH}{_WEEKDAY}", _weekday),
    (rf"{_WEEKDAY} (?:of )?(?P<which>last|previous|this|current) week", _weekday_of_week),
    (rf"{_MONTH} {_DAY}{_YEAR}?", _month_day),
    (rf"{_DAY} (?:of )?{_MONTH}{_YEAR}?", _month_day),
    (r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)", _iso_day),
    (r"(?P<year>\d{4})/(?P<month>\d\d?)/(?P<day>\d\d?)", _iso_day),
    (r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)", _iso_day),
)
_PHRASES: tuple[tuple[str, _Handler], ...] = (
    (r"(?:right )?now", lambda _match, calendar: Period(calendar.now, None, calendar.now)),
    (r"past (?P<unit>second|minute|hour|day|week|month|quarter|year)", _past),
    (r"last (?P<unit>second|minute|hour|day)", _past),
    (rf"(?P<which>last|previous|this|current) {_UNIT}", _calendar_unit),
    (rf"(?:past|last|previous) {_COUNT} {_UNIT}", _past),
    (rf"(?:(?:past|last) )?(?P<count>\d{{1,6}}) ?{_SHORT}", _past),
    (rf"{_COUNT} {_UNIT} ago", _ago),
    (rf"(?P<count>\d{{1,6}}) ?{_SHORT} ago", _ago),
    (rf"{_WHICH}week-?end", _weekend),
    (rf"{_WHICH}{_MONTH}{_YEAR}?", _month),
    (rf"{_WHICH}(?P<season>{'|'.join(SEASONS)}){_YEAR}?", _season),
    (rf"{_WHICH}{_QUARTER}{_YEAR}?", _quarter),
    (r"(?P<which>)(?P<year>\d{4})[- ]?q(?P<number>[1-4])(?P<ordinal>)", _quarter),
    (r"(?P<year>(?:19|20)\d\d)", _iso_year),
    (r"(?P<year>\d{4})[-/](?P<month>\d\d)", _iso_month),
    (r"(?P<year>\d{4})-?w(?P<week>\d\d)", _iso_week),
    (rf"(?P<date>\d{{4}}-\d\d-\d\d)[t ]{_ISO_TIME} ?(?P<offset>z|utc|[+-]\d\d(?::?\d\d)?)?", _iso_moment),
    (r"tonight|last night", _tonight),
    (rf"(?P<phrase>.+?),? (?:in the |at )?(?P<part>{'|'.join(DAY_PARTS)})", _day_part),
    (rf"(?P<part>{'|'.join(DAY_PARTS)}) (?:of|on) (?P<phrase>.+)", _day_part),
    (rf"(?:(?P<phrase>.+?),? )?(?:at )?{_CLOCK}", _day_and_clock),
)


def _compiled(table: tuple[tuple[str, _Handler], ...]) -> list[tuple[re.Pattern[str], _Handler]]:
    return [(re.compile(pattern, re.ASCII), handler) for pattern, handler in table]


@cache
def _days() -> list[tuple[re.Pattern[str], _Handler]]:
    return _compiled(_DAYS)


@cache
def _phrases() -> list[tuple[re.Pattern[str], _Handler]]:
    """Compiled at the first use: it takes as long as importing all of the domain."""
    return _days() + _compiled(_PHRASES)
