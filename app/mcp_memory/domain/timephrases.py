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
from mcp_memory.domain.timewords import (
    CLOCK,
    COUNT,
    DAY,
    DAY_PARTS,
    HOLIDAY,
    HOLIDAY_DAYS,
    HOLIDAYS,
    ISO_TIME,
    MONTH,
    MONTHS,
    ORDINALS,
    PARTS,
    QUARTER,
    RECENT_DAYS,
    SEASONS,
    SHORT,
    UNIT,
    WEEKDAY,
    WEEKDAYS,
    WHICH,
    YEAR,
    read_count,
    read_unit,
    read_which,
    read_year,
)

SHORTEST_WITH_PARTS = 5
"""Days: what is shorter has no beginning or end worth naming."""
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
    return calendar.past(read_count(match), read_unit(match))


def _ago(match: re.Match[str], calendar: LocalCalendar) -> Period:
    return calendar.ago(read_count(match), read_unit(match))


def _of_year(match: re.Match[str], calendar: LocalCalendar, in_year: Callable[[int], Period | None]) -> Period | None:
    """Of the year that is named, else of the year that `which` (last, this or none) leads to."""
    groups = match.groupdict()
    if year := read_year(match, calendar.today):
        return None if groups.get("which") else in_year(year)
    which = read_which(match) if "which" in groups else None
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


def _half(match: re.Match[str], calendar: LocalCalendar) -> Period | None:
    number = ORDINALS[match["ordinal"]]
    return _of_year(match, calendar, lambda year: calendar.months(year, 6 * number - 5, 6))


def _holiday(match: re.Match[str], calendar: LocalCalendar) -> Period | None:
    """A day that has a name, or the days around it; "Christmas Eve" is the one day."""
    name = match["holiday"].removesuffix("'s")
    if name not in HOLIDAYS and name != "thanksgiving":
        name = name.removesuffix("s")
    exact = f"{name} {match['one']}" if match["one"] else None

    def in_year(year: int) -> Period | None:
        if exact in HOLIDAY_DAYS:
            return calendar.day(date(year, *HOLIDAY_DAYS[exact]))
        if name == "thanksgiving":
            first = date(year, 11, 1)
            day, around = first + timedelta(days=(3 - first.weekday()) % 7 + 21), 3
        else:
            month, number, around = HOLIDAYS[name]
            day = date(year, month, number)
        if match["one"]:
            return calendar.day(day)
        return calendar.days(day - timedelta(days=around), day + timedelta(days=around + 1))

    if match["year"]:
        return _of_year(match, calendar, in_year)
    # New Year's days begin in the year before, so next year's may have begun.
    return calendar.latest(lambda offset: in_year(calendar.today.year + offset), read_which(match))


def _recent(_match: re.Match[str], calendar: LocalCalendar) -> Period:
    return calendar.past(RECENT_DAYS, "day")


def _earlier(match: re.Match[str], calendar: LocalCalendar) -> Period:
    """From its beginning until now."""
    period = calendar.unit("day" if match["unit"] == "today" else match["unit"].removeprefix("this "))
    return replace(period, end=calendar.now)


def _part_of(match: re.Match[str], calendar: LocalCalendar) -> Period | None:
    """The first, middle or last third of a week, a month or more, in whole days."""
    whole = parse_phrase(match["phrase"], calendar)
    if whole is None or whole.end is None:
        return None
    first = datetime.fromtimestamp(whole.start, calendar.zone).date()
    days = (datetime.fromtimestamp(whole.end, calendar.zone).date() - first).days
    if days < SHORTEST_WITH_PARTS:
        return None
    third = round(days / 3)
    start, end = {"middle": (third, days - third), "end": (days - third, days)}.get(match["part"], (0, third))
    return replace(calendar.days(first + timedelta(days=start), first + timedelta(days=end)), recurring=whole.recurring)


def _slashed_day(match: re.Match[str], calendar: LocalCalendar) -> Period | None:
    """11/20/2026 and 20/11/2026 can be read in one way; 5/3/2026 in two, and is refused."""
    first, second = int(match["first"]), int(match["second"])
    if first <= 12 and second <= 12 and first != second:
        return None
    month, day = (first, second) if first <= 12 else (second, first)
    return calendar.day(date(int(match["year"]), month, day))


def _weekday(match: re.Match[str], calendar: LocalCalendar) -> Period:
    days = WEEKDAYS.index(match["weekday"][:3])
    monday = calendar.today - timedelta(days=calendar.today.weekday())
    return calendar.latest(lambda weeks: calendar.day(monday + timedelta(weeks=weeks, days=days)), read_which(match))


def _weekday_of_week(match: re.Match[str], calendar: LocalCalendar) -> Period:
    week = calendar.today + timedelta(weeks=-1 if read_which(match) == "last" else 0)
    monday = week - timedelta(days=week.weekday())
    return calendar.day(monday + timedelta(days=WEEKDAYS.index(match["weekday"][:3])))


def _weekend(match: re.Match[str], calendar: LocalCalendar) -> Period:
    return calendar.latest(calendar.weekend, read_which(match))


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
    (rf"{COUNT} (?P<unit>day)s? ago", _ago),
    (rf"{WHICH}{WEEKDAY}", _weekday),
    (rf"{WEEKDAY} (?:of )?(?P<which>last|previous|this|current) week", _weekday_of_week),
    (rf"{MONTH} {DAY}{YEAR}?", _month_day),
    (rf"{DAY} (?:of )?{MONTH}{YEAR}?", _month_day),
    (r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)", _iso_day),
    (r"(?P<year>\d{4})/(?P<month>\d\d?)/(?P<day>\d\d?)", _iso_day),
    (r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)", _iso_day),
    (r"(?P<first>\d\d?)/(?P<second>\d\d?)/(?P<year>\d{4})", _slashed_day),
)
_PHRASES: tuple[tuple[str, _Handler], ...] = (
    (r"(?:right )?now", lambda _match, calendar: Period(calendar.now, None, calendar.now)),
    (r"past (?P<unit>second|minute|hour|day|week|month|quarter|year)", _past),
    (r"last (?P<unit>second|minute|hour|day)", _past),
    (rf"(?P<which>last|previous|this|current) {UNIT}", _calendar_unit),
    (rf"(?:past|last|previous) {COUNT} {UNIT}", _past),
    (rf"(?:(?:past|last) )?(?P<count>\d{{1,6}}) ?{SHORT}", _past),
    (rf"{COUNT} {UNIT} ago", _ago),
    (rf"(?P<count>\d{{1,6}}) ?{SHORT} ago", _ago),
    (rf"{WHICH}week[- ]?end", _weekend),
    (r"recent(?:ly)?|(?:most|very) recent(?:ly)?|lately|of late", _recent),
    (r"earlier (?P<unit>today|this (?:week|month|quarter|year))", _earlier),
    (rf"(?P<part>{'|'.join(PARTS)}) of (?P<phrase>.+)", _part_of),
    (rf"{WHICH}{HOLIDAY}(?: (?P<one>eve|day))?{YEAR}?", _holiday),
    (rf"{WHICH}(?P<ordinal>first|second|1st|2nd) half(?: of(?= (?:the )?year))?(?: (?:the )?year)?{YEAR}?", _half),
    (rf"{WHICH}{MONTH}{YEAR}?", _month),
    (rf"{WHICH}(?P<season>{'|'.join(SEASONS)}){YEAR}?", _season),
    (rf"{WHICH}{QUARTER}{YEAR}?", _quarter),
    (r"(?P<which>)(?P<year>\d{4})[- ]?q(?P<number>[1-4])(?P<ordinal>)", _quarter),
    (r"(?P<year>(?:19|20)\d\d)", _iso_year),
    (r"(?P<year>\d{4})[-/](?P<month>\d\d)", _iso_month),
    (r"(?P<year>\d{4})-?w(?P<week>\d\d)", _iso_week),
    (rf"(?P<date>\d{{4}}-\d\d-\d\d)[t ]{ISO_TIME} ?(?P<offset>z|utc|[+-]\d\d(?::?\d\d)?)?", _iso_moment),
    (r"tonight|last night", _tonight),
    (rf"(?P<phrase>.+?),? (?:in the |at )?(?P<part>{'|'.join(DAY_PARTS)})", _day_part),
    (rf"(?P<part>{'|'.join(DAY_PARTS)}) (?:of|on) (?P<phrase>.+)", _day_part),
    (rf"(?:(?P<phrase>.+?),? )?(?:at )?{CLOCK}", _day_and_clock),
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
