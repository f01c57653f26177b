"""A filter's conditions all hold, each at its edges: the model that every backend is compared with is right itself."""

from __future__ import annotations

import pytest

from mcp_memory.domain.memory import Memory, content_hash
from mcp_memory.domain.query import MemoryFilter, TagMatch

MEMORY = Memory(
    "text", content_hash("text"), 100.0, 100.0, tags=("home", "work"), memory_type="note", store="private"
)  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({}, True),
        ({"tags": ("work", "other")}, True),
        ({"tags": ("other",)}, False),
        ({"tags": ("home", "work"), "tag_match": TagMatch.ALL}, True),
        ({"tags": ("work",), "tag_match": TagMatch.ALL}, True),
        ({"tags": ("work", "other"), "tag_match": TagMatch.ALL}, False),
        ({"memory_type": "note"}, True),
        ({"memory_type": "decision"}, False),
        ({"created_from": 100.0}, True),
        ({"created_from": 100.001}, False),
        ({"created_to": 100.001}, True),
        ({"created_to": 100.0}, False),
        ({"store": "private"}, True),
        ({"store": "default"}, False),
    ],
)
def test_a_condition_alone_and_beside_others_that_hold(condition: dict[str, object], holds: bool) -> None:
    others = {"tags": ("home",), "memory_type": "note", "created_from": 1.0, "created_to": 200.0, "store": "private"}
    assert MemoryFilter(**condition).matches(MEMORY) is holds  # type: ignore[arg-type]
    assert MemoryFilter(**{**others, **condition}).matches(MEMORY) is holds  # type: ignore[arg-type]


def test_a_filter_without_conditions_is_empty() -> None:
    assert MemoryFilter(tag_match=TagMatch.ALL).empty
    assert not MemoryFilter(store="private").empty
