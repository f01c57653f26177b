"""Validation finds every kind of difference, and none where there is none."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_memory.domain.memory import EmbeddedMemory, Memory
from mcp_memory.migration.progress import PrintedProgress, about, duration, percent, whole_percent
from mcp_memory.migration.validation import Failure, cosine, cosines, differences, validate
from original_databases import unit_vector
from reference_storage import ReferenceStorage

MEMORY = Memory(
    content="text",
    content_hash="a" * 64,
    created_at=1_700_000_000.5,
    updated_at=1_700_000_000.5,
    tags=("a", "b"),
    memory_type="note",
    metadata={"list": [1, {"deep": None}]},
)
ITEM = EmbeddedMemory(MEMORY, unit_vector(1, 16))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"content": "Text"}, "content"),
        ({"content": "text "}, "content"),
        ({"tags": ("a",)}, "tags"),
        ({"memory_type": None}, "memory_type"),
        ({"store": "work"}, "store"),
        ({"metadata": {"list": [1, {"deep": False}]}}, "metadata"),
        ({"created_at": 1_700_000_000.502}, "created_at"),
        ({"updated_at": 1_700_000_001.5}, "updated_at"),
    ],
)
def test_a_difference_is_told_with_hash_field_and_both_values(changed: dict[str, object], field: str) -> None:
    (failure,) = differences(ITEM, EmbeddedMemory(replace(MEMORY, **changed), ITEM.vector))  # type: ignore[arg-type]

    assert (failure.content_hash, failure.field) == ("a" * 64, field)
    assert failure.expected != failure.found
    assert str(failure).startswith(f"{'a' * 64}: {field} differs: expected ")


def test_a_difference_shows_what_each_side_says() -> None:
    found = EmbeddedMemory(replace(MEMORY, store="work"), ITEM.vector)
    assert differences(ITEM, found) == [Failure("a" * 64, "validate", "store", "'default'", "'work'")]


def test_what_is_allowed_to_differ_is_no_difference() -> None:
    found = replace(MEMORY, tags=("b", "a"), created_at=MEMORY.created_at + 0.0009, revision=77)

    assert differences(ITEM, EmbeddedMemory(found, ITEM.vector * np.float32(3))) == []


def test_a_missing_memory_and_another_vector_are_differences() -> None:
    assert differences(ITEM, None) == [Failure("a" * 64, "validate", "memory", "present", "missing")]
    (other,) = differences(ITEM, EmbeddedMemory(MEMORY, unit_vector(2, 16)))
    assert other.field == "embedding"
    (size,) = differences(ITEM, EmbeddedMemory(MEMORY, unit_vector(2, 8)))
    assert size.found == "cosine 0.0000"


def test_of_long_texts_the_beginning_is_told_and_how_long_they_are() -> None:
    long = EmbeddedMemory(replace(MEMORY, content="x" * 5_000), ITEM.vector)
    (failure,) = differences(ITEM, long)
    assert failure.found == f"'{'x' * 199}... (5,002 characters)"


@given(st.floats(-0.2, 0.2), st.integers(0, 50))
def test_vectors_are_the_same_above_a_cosine_of_099(noise: float, seed: int) -> None:
    turned = ITEM.vector + np.float32(noise) * unit_vector(seed + 100, 16)
    near = float(ITEM.vector @ turned / np.linalg.norm(turned))

    found = differences(ITEM, EmbeddedMemory(MEMORY, turned.astype(np.float32)))

    assert bool(found) is not (near > 0.99) or abs(near - 0.99) < 1e-6


def test_progress_lines_come_after_the_first_batch_and_then_every_thousand() -> None:
    lines: list[str] = []
    progress = PrintedProgress(out=lines.append)

    for done in range(100, 10_001, 100):
        progress.advance(done, 10_000, 26.4)

    assert [line.split("] ")[1] for line in lines] == [
        "Migrated 100/10000 (1.0%) - 26ms avg",
        *(f"Migrated {done}/10000 ({done / 100:.1f}%) - 26ms avg" for done in range(1_000, 10_001, 1_000)),
    ]
    assert lines[0][:5] == "[20" + lines[0][3:5]
    assert lines[0].index("]") == len("[2025-01-16 10:00:00")


def test_problems_go_where_problems_go() -> None:
    lines: list[str] = []
    problems: list[str] = []
    progress = PrintedProgress(out=lines.append, problems=problems.append)
    progress.problem("aaaa: store failed")
    assert (lines, problems) == ([], ["aaaa: store failed"])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.01, "1 second"),
        (1.4, "1 second"),
        (42, "42 seconds"),
        (90, "2 minutes"),
        (120, "2 minutes"),
        (5_399, "90 minutes"),
        (7_200, "2 hours"),
    ],
)
def test_estimates_are_told_in_words(seconds: float, words: str) -> None:
    assert about(seconds) == words


def test_averages_below_ten_milliseconds_keep_a_digit() -> None:
    shown = [duration(value) for value in (26.4, 10, 9.96, 1.25, 1, 0.2)]
    assert shown == ["26ms", "10ms", "10.0ms", "1.2ms", "1.0ms", "0.20ms"]


def test_shares_have_digits_where_they_are_not_whole() -> None:
    assert [whole_percent(done, 3) for done in (0, 1, 3)] == ["0%", "33.33%", "100%"]
    assert [percent(done, 3) for done in (0, 1, 3)] == ["0.0%", "33.3%", "100.0%"]
    assert (whole_percent(0, 0), percent(0, 0)) == ("100%", "100.0%")


def test_many_pairs_are_compared_as_each_is_alone() -> None:
    vectors = [unit_vector(seed, 16) for seed in range(5)]
    zero = np.zeros(16, np.float32)
    pairs = [(one, np.float32(3) * one + other) for one, other in pairwise(vectors)] + [(vectors[0], zero)]
    assert list(cosines(pairs)) == pytest.approx([cosine(one, other) for one, other in pairs], abs=1e-6)
    assert list(cosines(pairs))[-1] == 0.0
    mixed = [*pairs, (vectors[0], unit_vector(1, 8))]
    assert list(cosines(mixed)) == pytest.approx([cosine(one, other) for one, other in mixed], abs=1e-6)
    assert list(cosines([])) == []


@pytest.mark.anyio
async def test_validation_tells_of_each_memory_what_its_target_has_otherwise() -> None:
    storage = ReferenceStorage(16)
    items = [
        EmbeddedMemory(
            replace(MEMORY, content=f"text {number}", content_hash=f"{number}" * 64), unit_vector(number, 16)
        )
        for number in range(5)
    ]
    stored = [
        items[0],
        EmbeddedMemory(replace(items[2].memory, tags=("c",)), items[2].vector),
        items[3],
        EmbeddedMemory(items[4].memory, unit_vector(99, 16)),
    ]
    await storage.initialize()
    await storage.upsert(stored)

    found = await validate(storage, items)

    assert [(failure.content_hash[0], failure.field) for failure in found] == [
        ("1", "memory"),
        ("2", "tags"),
        ("4", "embedding"),
    ]
