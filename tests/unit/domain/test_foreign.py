"""What other services stored becomes memories of ours; what can't, is kept in words beside them."""

from __future__ import annotations

import math

import pytest

from mcp_memory.domain.foreign import RawMemory, UnreadableError, convert
from mcp_memory.domain.foreign_notes import IMPORTED_KEY, Note
from mcp_memory.domain.foreign_times import RawTimes

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


@pytest.mark.parametrize("value", [None, "", b""])
def test_no_time_is_nothing_to_keep(value: object) -> None:
    memory, notes = convert(RawMemory("text", times=RawTimes(value, value, value, value)), fallback_time=7.0)
    assert (memory.created_at, memory.updated_at, memory.metadata) == (7.0, 7.0, {})
    assert Note.TIME_REPAIRED not in notes


def test_a_row_without_a_text_is_no_memory() -> None:
    with pytest.raises(UnreadableError, match="its content is empty"):
        convert(RawMemory("  "), fallback_time=1.0)
