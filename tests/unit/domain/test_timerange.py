"""Time as people write it becomes half-open ranges of UTC seconds that contain what they should, and nothing else."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.timerange import TimeRange, parse_instant, parse_time_range

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 19, 30, tzinfo=BERLIN).timestamp()
"""A Sunday."""


def local(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def bounds(start: str | None, end: str | None) -> TimeRange:
    return TimeRange(None if start is None else local(start), None if end is None else local(end))


@pytest.mark.parametrize(
    ("expression", "start", "end"),
    [
        ("today", "2026-11-22", "2026-11-23"),
        ("Yesterday.", "2026-11-21", "2026-11-22"),
        ("the day before yesterday", "2026-11-20", "2026-11-21"),
        ("this week", "2026-11-16", "2026-11-23"),
        ("last week", "2026-11-09", "2026-11-16"),
        ("previous week", "2026-11-09", "2026-11-16"),
        ("this month", "2026-11-01", "2026-12-01"),
        ("last month", "2026-10-01", "2026-11-01"),
        ("recent", "2026-11-15", None),
        ("recently", "2026-11-15", None),
        ("lately", "2026-11-15", None),
        ("earlier today", "2026-11-22", "2026-11-22 19:30"),
        ("earlier this month", "2026-11-01", "2026-11-22 19:30"),
        ("Christmas", "2025-12-22", "2025-12-29"),
        ("over christmas 2024", "2024-12-22", "2024-12-29"),
        ("Christmas Eve", "2025-12-24", "2025-12-25"),
        ("new year", "2025-12-29", "2026-01-05"),
        ("New Year's Eve", "2025-12-31", "2026-01-01"),
        ("thanksgiving", "2025-11-24", "2025-12-01"),
        ("Thanksgiving Day 2024", "2024-11-28", "2024-11-29"),
        ("halloween", "2026-10-28", "2026-11-04"),
        ("valentine's day", "2026-02-14", "2026-02-15"),
        ("last-week", "2026-11-09", "2026-11-16"),
        ("last-2-weeks", "2026-11-08", None),
        ("since last-month", "2026-10-01", None),
        ("1st quarter", "2026-01-01", "2026-04-01"),
        ("2nd quarter of 2025", "2025-04-01", "2025-07-01"),
        ("first half of 2024", "2024-01-01", "2024-07-01"),
        ("end of last month", "2026-10-22", "2026-11-01"),
        ("the beginning of 2024", "2024-01-01", "2024-05-02"),
        ("middle of march", "2026-03-11", "2026-03-22"),
        ("11/20/2026", "2026-11-20", "2026-11-21"),
        ("20/11/2026", "2026-11-20", "2026-11-21"),
        ("last year", "2025-01-01", "2026-01-01"),
        ("current month", "2026-11-01", "2026-12-01"),
        ("current summer", "2026-06-01", "2026-09-01"),
        ("current december", "2026-12-01", "2027-01-01"),
        ("this quarter", "2026-10-01", "2027-01-01"),
        ("last quarter", "2026-07-01", "2026-10-01"),
        ("past week", "2026-11-15", None),
        ("past 3 days", "2026-11-19", None),
        ("in the last 3 days", "2026-11-19", None),
        ("last few days", "2026-11-19", None),
        ("the past couple of weeks", "2026-11-08", None),
        ("past two months", "2026-09-22", None),
        ("7d", "2026-11-15", None),
        ("last 24 hours", "2026-11-21T19:30", None),
        ("within the past hour", "2026-11-22T18:30", None),
        ("2 days ago", "2026-11-20", "2026-11-21"),
        ("two weeks ago", "2026-11-02", "2026-11-09"),
        ("a month ago", "2026-10-01", "2026-11-01"),
        ("an hour ago", "2026-11-22T18:00", "2026-11-22T19:00"),
        ("in March", "2026-03-01", "2026-04-01"),
        ("in December", "2025-12-01", "2026-01-01"),
        ("in March 2024", "2024-03-01", "2024-04-01"),
        ("last November", "2025-11-01", "2025-12-01"),
        ("this november", "2026-11-01", "2026-12-01"),
        ("March last year", "2025-03-01", "2025-04-01"),
        ("December this year", "2026-12-01", "2027-01-01"),
        ("previous November", "2025-11-01", "2025-12-01"),
        ("current November", "2026-11-01", "2026-12-01"),
        ("March 5", "2026-03-05", "2026-03-06"),
        ("March 5th, 2024", "2024-03-05", "2024-03-06"),
        ("5 Mar 2024", "2024-03-05", "2024-03-06"),
        ("on the 24th of December", "2025-12-24", "2025-12-25"),
        ("February 29", "2024-02-29", "2024-03-01"),
        ("2024", "2024-01-01", "2025-01-01"),
        ("2024-03", "2024-03-01", "2024-04-01"),
        ("2024-03-05", "2024-03-05", "2024-03-06"),
        ("2024/3/5", "2024-03-05", "2024-03-06"),
        ("20240305", "2024-03-05", "2024-03-06"),
        ("2024-W10", "2024-03-04", "2024-03-11"),
        ("2024-03-05T10:30", "2024-03-05T10:30", "2024-03-05T10:31"),
        ("2024-03-05 10:30:15", "2024-03-05T10:30:15", "2024-03-05T10:30:16"),
        ("2024-03-05T10:30Z", "2024-03-05T11:30", "2024-03-05T11:31"),
        ("2024-03-05 10:30 UTC", "2024-03-05T11:30", "2024-03-05T11:31"),
        ("sunday", "2026-11-22", "2026-11-23"),
        ("last sunday", "2026-11-15", "2026-11-16"),
        ("monday", "2026-11-16", "2026-11-17"),
        ("on Thursday", "2026-11-19", "2026-11-20"),
        ("tuesday last week", "2026-11-10", "2026-11-11"),
        ("tuesday this week", "2026-11-17", "2026-11-18"),
        ("this weekend", "2026-11-21", "2026-11-23"),
        ("last weekend", "2026-11-14", "2026-11-16"),
        ("Q1", "2026-01-01", "2026-04-01"),
        ("Q3 2024", "2024-07-01", "2024-10-01"),
        ("2024-Q4", "2024-10-01", "2025-01-01"),
        ("the first quarter of last year", "2025-01-01", "2025-04-01"),
        ("spring", "2026-03-01", "2026-06-01"),
        ("summer 2024", "2024-06-01", "2024-09-01"),
        ("last winter", "2025-12-01", "2026-03-01"),
        ("this morning", "2026-11-22T05:00", "2026-11-22T12:00"),
        ("yesterday evening", "2026-11-21T17:00", "2026-11-21T23:00"),
        ("last night", "2026-11-21T17:00", "2026-11-22T05:00"),
        ("tonight", "2026-11-22T17:00", "2026-11-23T05:00"),
        ("thursday night", "2026-11-19T21:00", "2026-11-20T05:00"),
        ("friday afternoon", "2026-11-20T12:00", "2026-11-20T18:00"),
        ("the evening of March 5", "2026-03-05T17:00", "2026-03-05T23:00"),
        ("yesterday at 3pm", "2026-11-21T15:00", "2026-11-21T16:00"),
        ("march 5 at 10:30", "2026-03-05T10:30", "2026-03-05T10:31"),
        ("today at 12 am", "2026-11-22T00:00", "2026-11-22T01:00"),
        ("at 1am", "2026-11-22T01:00", "2026-11-22T02:00"),
        ("since yesterday", "2026-11-21", None),
        ("after 2024-03-05", "2024-03-05", None),
        ("since 2 hours ago", "2026-11-22T17:30", None),
        ("since last night", "2026-11-21T17:00", None),
        ("since yesterday evening", "2026-11-21T17:00", None),
        ("since yesterday at 3pm", "2026-11-21T15:00", None),
        ("since the past 3 days", "2026-11-19", None),
        ("from May 2024 onwards", "2024-05-01", None),
        ("before last week", None, "2026-11-09"),
        ("before 2024", None, "2024-01-01"),
        ("until yesterday", None, "2026-11-22"),
        ("older than 30 days", None, "2026-10-23T19:30"),
        ("newer than a week", "2026-11-15T19:30", None),
        ("between March and May", "2026-03-01", "2026-06-01"),
        ("between 2024-01 and 2024-03", "2024-01-01", "2024-04-01"),
        ("from March 5 to March 9", "2026-03-05", "2026-03-10"),
        ("from November to February", "2025-11-01", "2026-03-01"),
        ("from march to may 2024", "2024-03-01", "2024-06-01"),
        ("from monday to friday", "2026-11-16", "2026-11-21"),
        ("2024-01-05..2024-01-07", "2024-01-05", "2024-01-08"),
        ("from yesterday to now", "2026-11-21", None),
    ],
)
def test_an_expression_means_this_range(expression: str, start: str | None, end: str | None) -> None:
    assert parse_time_range(expression, NOW, BERLIN) == bounds(start, end)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        " ",
        "blargh",
        "some other day",
        "2024-02-30",
        "2024-13",
        "feb 30",
        "5/3/2024",
        "2024-03-05T25:00",
        "past 999999 years",
        "0000",
        "9999-12-31",
        "since",
        "between march",
        "before blargh",
        "until blargh",
        "from blargh to march",
        "from march to blargh",
        "today at 0am",
        "last march 2024",
        "from today until yesterday",
        "from 2024 to 2023",
        "yesterday at 25:00",
        "13 pm",
        "last last week",
        "\ud800",
        "today\0",
        "today " * 100,
        "٣ days ago",
    ],
)
def test_what_is_no_time_is_refused_by_field(expression: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_time_range(expression, NOW, BERLIN)
    assert caught.value.field == "time_expr"


def test_units_of_the_clock_begin_where_they_began() -> None:
    now = local("2026-11-22T19:30:45") + 0.25
    for expression, start, end in (
        ("this hour", "2026-11-22T19:00:00", "2026-11-22T20:00:00"),
        ("this minute", "2026-11-22T19:30:00", "2026-11-22T19:31:00"),
        ("this second", "2026-11-22T19:30:45", "2026-11-22T19:30:46"),
        ("since this minute", "2026-11-22T19:30:00", None),
    ):
        assert parse_time_range(expression, now, BERLIN) == bounds(start, end), expression


def test_a_fraction_of_a_second_is_a_millisecond_long() -> None:
    found = parse_time_range("2024-03-05 10:30:15.250", NOW, BERLIN)
    start = local("2024-03-05T10:30:15") + 0.25
    assert found == TimeRange(start, pytest.approx(start + 0.001, abs=1e-6))


def test_a_range_contains_its_start_and_not_its_end() -> None:
    assert [time in TimeRange(1.0, 2.0) for time in (0.5, 1.0, 1.5, 2.0)] == [False, True, True, False]
    assert [time in TimeRange(None, 2.0) for time in (0.5, 2.0)] == [True, False]
    assert [time in TimeRange(1.0, None) for time in (0.5, 9.0)] == [False, True]


def test_the_error_shows_what_can_be_written() -> None:
    with pytest.raises(InvalidInputError, match=r"'blargh'.*\"last week\""):
        parse_time_range("blargh", NOW, BERLIN)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1_709_634_600, 1_709_634_600.0),
        (1_709_634_600.5, 1_709_634_600.5),
        ("1709634600", 1_709_634_600.0),
        ("1709634600.25", 1_709_634_600.25),
        (0, 0.0),
        ("1970-01-01T00:00Z", 0.0),
        ("2024-03-05", local("2024-03-05")),
        ("2024-03-05T10:30:00Z", datetime(2024, 3, 5, 10, 30, tzinfo=UTC).timestamp()),
        ("2024-03-05T10:30:00.500+02:00", datetime(2024, 3, 5, 8, 30, 0, 500_000, tzinfo=UTC).timestamp()),
        ("2024", local("2024-01-01")),
        ("yesterday", local("2026-11-21")),
        ("2 hours ago", NOW - 7200),
        ("2 days ago", local("2026-11-20T19:30")),
        ("a month ago", local("2026-10-22T19:30")),
        ("last week", local("2026-11-09")),
        ("now", NOW),
    ],
)
def test_an_instant_is_read_to_the_second(value: str | float, seconds: float) -> None:
    assert parse_instant(value, NOW, BERLIN, field="after") == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 300,
        "nul\0",
        "soon",
        "",
        "2024-99-99",
        "1709634600000",
        -1,
        math.nan,
        math.inf,
        2**70,
        True,
        "1e9",
        "1960-01-01",
    ],
)
def test_what_is_no_instant_is_refused_by_field(value: str | float) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_instant(value, NOW, BERLIN, field="before")
    assert caught.value.field == "before"


def test_a_day_is_as_long_as_the_clocks_make_it() -> None:
    spring, autumn = (parse_time_range(day, NOW, BERLIN) for day in ("2026-03-29", "2026-10-25"))
    assert spring.start is not None
    assert autumn.start is not None
    assert spring.end == spring.start + 23 * 3600
    assert autumn.end == autumn.start + 25 * 3600


def test_hours_are_elapsed_time_and_days_are_wall_clock_across_a_change_of_clocks() -> None:
    now = local("2026-10-25T12:00")  # clocks went back at three
    assert parse_instant("12 hours ago", now, BERLIN, field="after") == local("2026-10-25T01:00")
    assert parse_instant("1 day ago", now, BERLIN, field="after") == local("2026-10-24T12:00")


def test_the_last_day_of_a_month_goes_back_to_the_last_day_of_a_shorter_one() -> None:
    assert parse_instant("a month ago", local("2026-03-31T10:00"), BERLIN, field="after") == local("2026-02-28T10:00")


zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "America/Havana", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Beirut"]
).map(ZoneInfo)
moments = st.floats(min_value=0, max_value=4e9)
days = st.dates(date(1971, 1, 1), date(2090, 1, 1))
UNITS = ("day", "week", "month", "quarter", "year", "hour", "minute")


@given(days, zones)
def test_consecutive_days_leave_no_gap_and_do_not_overlap(day: date, zone: ZoneInfo) -> None:
    today, tomorrow = (parse_time_range(one.isoformat(), NOW, zone) for one in (day, day + timedelta(days=1)))
    assert today.start is not None
    assert today.end is not None
    assert today.start < today.end == tomorrow.start


@given(moments, zones, st.sampled_from(UNITS))
def test_this_unit_contains_now_and_begins_where_the_last_one_ended(now: float, zone: ZoneInfo, unit: str) -> None:
    this = parse_time_range(f"this {unit}", now, zone)
    before = parse_time_range(f"1 {unit} ago", now, zone)
    assert now in this
    assert before.end == this.start
    assert now not in before


@given(moments, zones, st.integers(1, 50), st.sampled_from(UNITS))
def test_the_past_units_contain_every_moment_since_then(now: float, zone: ZoneInfo, count: int, unit: str) -> None:
    found = parse_time_range(f"past {count} {unit}s", now, zone)
    assert now in found
    assert parse_time_range(f"since {count} {unit}s ago", now, zone).start in found


@given(
    moments,
    zones,
    st.sampled_from(["january", "may", "monday", "sunday", "q2", "summer", "winter", "weekend", "july 4"]),
)
def test_without_a_year_the_latest_that_has_begun_is_meant(now: float, zone: ZoneInfo, name: str) -> None:
    bare, last = (parse_time_range(text, now, zone) for text in (name, f"last {name}" if name != "july 4" else name))
    assert bare.start is not None
    assert bare.start <= now < bare.start + 367 * 86_400
    if name != "july 4":
        assert last.end is not None
        assert last.end <= now


@given(
    moments, zones, st.sampled_from(["yesterday", "last week", "2024-03", "3 days ago", "last monday", "2 hours ago"])
)
def test_since_and_before_a_time_share_everything_between_them(now: float, zone: ZoneInfo, time: str) -> None:
    since, before = (parse_time_range(f"{word} {time}", now, zone) for word in ("since", "before"))
    assert since.start == before.end
    assert (since.end, before.start) == (None, None)


@given(
    st.text(max_size=40)
    | st.lists(
        st.sampled_from(
            ["last", "past", "this", "3", "2024", "march", "monday", "to", "from", "and", "between", "of", "ago"]
        )
    ).map(" ".join),
    moments,
    zones,
)
def test_any_text_is_a_range_or_a_clear_refusal(text: str, now: float, zone: ZoneInfo) -> None:
    try:
        found = parse_time_range(text, now, zone)
    except InvalidInputError:
        return
    assert found.start is None or found.end is None or found.start < found.end
