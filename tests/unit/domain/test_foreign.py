"""What other services stored becomes memories of ours; what can't, is kept in words beside them."""

from __future__ import annotations

import math
import time

import pytest

from mcp_memory.domain.checks import LATEST_TIME
from mcp_memory.domain.foreign import RawMemory, UnreadableError, convert
from mcp_memory.domain.foreign_notes import IMPORTED_KEY, Note
from mcp_memory.domain.foreign_times import RawTimes
from mcp_memory.domain.memory import JsonValue, content_hash

BROKEN = "bad\x01tag"
LONG = "x" * 600
"""Longer than what is remembered from row to row."""


@pytest.mark.parametrize(
    "tags", [f"good,{BROKEN},fine", ["good", BROKEN, "fine"], f"good,{BROKEN},fine".encode(), f"good,{BROKEN},{LONG}"]
)
def test_tags_that_can_be_used_are_kept_where_another_cannot(tags: object) -> None:
    memory, notes = convert(RawMemory("text", tags=tags), fallback_time=1.0)
    assert memory.tags in {("good", "fine"), ("good", LONG)}
    assert Note.TAGS_UNUSABLE in notes
    assert "tags" in memory.metadata[IMPORTED_KEY]


def test_the_same_label_in_many_rows_is_always_converted_alike() -> None:
    raw = RawMemory("text", tags="Work,home", memory_type="note", store="work")
    first, second = (convert(raw, fallback_time=1.0) for _ in range(2))
    assert first == second
    assert (first[0].tags, first[0].memory_type, first[0].store) == (("work", "home"), "note", "work")


@pytest.mark.parametrize(
    ("value", "kept"),
    [(2**70, str(2**70)), (math.inf, "inf"), (-5.5, -5.5), (b"\xff", "\\xff"), ("soon", "soon"), (True, True)],
)
def test_a_time_that_is_none_is_kept_as_json_can_hold_it(value: object, kept: object) -> None:
    memory, notes = convert(RawMemory("text", times=RawTimes(value, 5.0)), fallback_time=1.0)
    assert memory.metadata[IMPORTED_KEY] == {"created_at": kept}
    assert (memory.created_at, memory.updated_at) == (5.0, 5.0)
    assert {Note.TIME_REPAIRED, Note.TIME_MISSING} <= set(notes)


@pytest.mark.parametrize(
    ("times", "created", "updated", "kept"),
    [
        (RawTimes(5.0, 6.0), 5.0, 6.0, {}),
        (RawTimes(0, LATEST_TIME), 0.0, LATEST_TIME, {}),
        (RawTimes(5.0), 5.0, 5.0, {}),
        (RawTimes(None, 6.0), 6.0, 6.0, {}),
        (RawTimes("5.5", b"6"), 5.5, 6.0, {"created_at": "5.5", "updated_at": "6"}),
        (RawTimes(1_700_000_000_500, 6.0), 1_700_000_000.5, 6.0, {"created_at": 1_700_000_000_500}),
        (RawTimes(LATEST_TIME * 1000, 6.0), LATEST_TIME, 6.0, {"created_at": LATEST_TIME * 1000}),
        (RawTimes(LATEST_TIME * 1000.5, 6.0), 6.0, 6.0, {"created_at": LATEST_TIME * 1000.5}),
        (RawTimes("1970-01-01T00:00:05Z", 6.0), 5.0, 6.0, {"created_at": "1970-01-01T00:00:05Z"}),
        (RawTimes(None, None, "1970-01-01T00:00:05", b"1970-01-01T02:00:06+02:00"), 5.0, 6.0, {}),
        (RawTimes(None, None, "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"), 0.0, LATEST_TIME, {}),
        (RawTimes(5.0, 6.0, "1970-01-01T00:00:05.9Z", "1970-01-01T00:00:06Z"), 5.0, 6.0, {}),
        (RawTimes(5.0, 6.0, "1970-01-01T00:00:06Z"), 5.0, 6.0, {"created_at_iso": "1970-01-01T00:00:06Z"}),
        (RawTimes(5.0, 6.0, None, "gestern"), 5.0, 6.0, {"updated_at_iso": "gestern"}),
        (RawTimes(5.0, None, None, "1969-12-31T23:59:59Z"), 5.0, 5.0, {"updated_at_iso": "1969-12-31T23:59:59Z"}),
    ],
)
def test_times_are_the_best_that_a_row_says_and_what_says_otherwise_is_kept(
    times: RawTimes, created: float, updated: float, kept: dict[str, object]
) -> None:
    memory, notes = convert(RawMemory("text", content_hash("text"), times=times), fallback_time=1.0)
    assert (memory.created_at, memory.updated_at) == (created, updated)
    assert memory.metadata.get(IMPORTED_KEY, {}) == kept
    assert bool(kept) == bool({Note.TIME_REPAIRED, Note.TIME_DISAGREES}.intersection(notes))


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="a process's zone can be set on POSIX systems alone")
def test_an_iso_time_without_a_zone_is_utc_wherever_the_service_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        memory, _ = convert(RawMemory("text", times=RawTimes(None, None, "1970-01-02T00:00:05")), fallback_time=1.0)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert memory.created_at == 86_405.0


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"bytes", "bytes"),
        (b"\xff\xfe", {"base64": "//4="}),
        ("nul\0" + "x" * 70_000, "nul\0" + "x" * 70_000),
        ({"deep": [1, None]}, {"deep": [1, None]}),
        ("\ud800", '"\\ud800"'),
        (2**70, str(2**70)),
        ({1, 2}, "{1, 2}"),
    ],
)
def test_a_value_without_a_field_is_kept_or_a_text_that_says_the_same(value: object, kept: object) -> None:
    memory, notes = convert(RawMemory("text", homeless={"extra": value}), fallback_time=1.0)
    assert memory.metadata == {IMPORTED_KEY: {"extra": kept}}
    assert Note.FIELDS_KEPT in notes


@pytest.mark.parametrize(
    ("earlier", "merged"),
    [
        ({"old": 1, "extra": 2}, {"old": 1, "extra": "new"}),
        ("text", {IMPORTED_KEY: "text", "extra": "new"}),
    ],
)
def test_what_an_earlier_import_kept_stays(earlier: JsonValue, merged: JsonValue) -> None:
    raw = RawMemory("text", metadata={"mine": 1, IMPORTED_KEY: earlier}, homeless={"extra": "new"})
    assert convert(raw, fallback_time=1.0)[0].metadata == {"mine": 1, IMPORTED_KEY: merged}


@pytest.mark.parametrize(
    ("metadata", "found", "noted"),
    [
        (None, {}, False),
        ("", {}, False),
        (b"", {}, False),
        ('{"a": 1}', {"a": 1}, False),
        ("{cut", {IMPORTED_KEY: {"metadata": "{cut"}}, True),
        ("[1]", {IMPORTED_KEY: {"metadata": "[1]"}}, True),
        ('{"a": 1, "b": NaN}', {"a": 1, IMPORTED_KEY: {"metadata": '{"a": 1, "b": NaN}'}}, True),
        ({"nul": "\0", "b": math.nan}, {"nul": "\0", IMPORTED_KEY: {"metadata": '{"nul": "\\u0000", "b": NaN}'}}, True),
    ],
)
def test_metadata_is_the_object_that_it_says(metadata: object, found: JsonValue, noted: bool) -> None:
    memory, notes = convert(RawMemory("text", metadata=metadata), fallback_time=1.0)
    assert memory.metadata == found
    assert (Note.METADATA_AS_TEXT in notes) is noted


@pytest.mark.parametrize(
    ("hash_", "kept", "note"),
    [
        (None, content_hash("text"), Note.HASH_MISSING),
        (" ", content_hash("text"), Note.HASH_MISSING),
        (7, content_hash("text"), Note.HASH_MISSING),
        ("theirs", "theirs", Note.HASH_KEPT),
        (b"their\xff", "their\ufffd", Note.HASH_KEPT),
        (content_hash("text"), content_hash("text"), None),
    ],
)
def test_a_hash_is_kept_as_it_is_and_computed_where_there_is_none(hash_: object, kept: str, note: Note | None) -> None:
    memory, notes = convert(RawMemory("text", hash_), fallback_time=1.0)
    assert memory.content_hash == kept
    assert {Note.HASH_MISSING, Note.HASH_KEPT}.intersection(notes) == ({note} if note else set())


def test_a_number_is_a_text_and_nothing_is_none() -> None:
    assert convert(RawMemory(5), fallback_time=1.0)[0].content == "5"
    with pytest.raises(UnreadableError, match="its content is empty"):
        convert(RawMemory(None), fallback_time=1.0)


@pytest.mark.parametrize("value", [None, "", b""])
def test_no_time_is_nothing_to_keep(value: object) -> None:
    memory, notes = convert(RawMemory("text", times=RawTimes(value, value, value, value)), fallback_time=7.0)
    assert (memory.created_at, memory.updated_at, memory.metadata) == (7.0, 7.0, {})
    assert Note.TIME_REPAIRED not in notes


def test_a_row_without_a_text_is_no_memory() -> None:
    with pytest.raises(UnreadableError, match="its content is empty"):
        convert(RawMemory("  "), fallback_time=1.0)


@pytest.mark.parametrize(
    ("agent_id", "tags"),
    [("Codex-1", ("a", "agent:codex-1")), (" ", ("a",)), (7, ("a",)), ("two, names", ("a",)), (None, ("a",))],
)
def test_who_stored_a_memory_is_a_tag_as_for_new_ones(agent_id: object, tags: tuple[str, ...]) -> None:
    memory, _ = convert(RawMemory("text", tags="a", metadata={"agent_id": agent_id}), fallback_time=1.0)
    assert memory.tags == tags
    assert memory.metadata == {"agent_id": agent_id}


@pytest.mark.parametrize("written", ["['boiler', 'House']", "[\"boiler\", 'House']", b"['boiler','house',]"])
def test_tags_in_pythons_list_form_are_tags(written: object) -> None:
    memory, notes = convert(RawMemory("text", tags=written), fallback_time=1.0)
    assert memory.tags == ("boiler", "house")
    assert Note.TAGS_UNUSABLE not in notes
