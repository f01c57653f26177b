"""A memory's derived values, and what errors carry for those who answer them."""

from __future__ import annotations

import unicodedata
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_memory.domain import errors
from mcp_memory.domain.memory import (
    POINT_NAMESPACE,
    Memory,
    content_hash,
    iso,
    next_revision,
    normalise_for_matching,
    point_id,
    similarity_score,
)
from mcp_memory.domain.query import FacetField

HASH = content_hash("text")


@given(st.text())
def test_a_point_s_id_is_the_uuid_5_of_its_hash(text: str) -> None:
    assert point_id(content_hash(text)) == str(uuid.uuid5(POINT_NAMESPACE, content_hash(text)))


def test_times_are_iso_8601_with_microseconds_and_z() -> None:
    assert iso(1_700_000_000.25) == "2023-11-14T22:13:20.250000Z"
    assert iso(0) == "1970-01-01T00:00:00.000000Z"
    memory = Memory("text", HASH, created_at=1.5, updated_at=2.5)
    assert (memory.created_at_iso, memory.updated_at_iso) == (
        "1970-01-01T00:00:01.500000Z",
        "1970-01-01T00:00:02.500000Z",
    )


@pytest.mark.parametrize(
    ("cosine", "score"), [(1.0, 1.0), (0.5, 0.75), (0.0, 0.5), (-1.0, 0.0), (1.0000002, 1.0), (-1.0000002, 0.0)]
)
def test_similarity_is_half_for_what_is_orthogonal_and_never_leaves_its_scale(cosine: float, score: float) -> None:
    assert similarity_score(cosine) == score


def test_matching_ignores_case_and_the_form_of_accents() -> None:
    assert normalise_for_matching(unicodedata.normalize("NFD", "STRASSE Ü")) == normalise_for_matching("straße ü")


def test_fields_that_are_counted_give_a_memory_s_values() -> None:
    memory = Memory("text", HASH, 1.0, 1.0, tags=("a", "b"), memory_type="note", store="work")
    untyped = Memory("text", HASH, 1.0, 1.0)
    assert [field.values_of(memory) for field in FacetField] == [("a", "b"), ("note",), ("work",)]
    assert [field.values_of(untyped) for field in FacetField] == [(), (), ("default",)]


def test_errors_carry_what_an_answer_needs() -> None:
    missing = errors.MemoryNotFoundError(HASH)
    assert (missing.content_hash, missing.message) == (HASH, f"No memory has the hash {HASH}.")
    assert errors.StorageBusyError("later").retry_after == 1.0
    busy = errors.StorageBusyError("later", retry_after=3.0)
    assert (busy.message, busy.retry_after) == ("later", 3.0)
    changed = errors.ModelChangedError(old_model="a", new_model="b", old_dimensions=1, new_dimensions=2)
    assert (changed.old_model, changed.new_model, changed.old_dimensions, changed.new_dimensions) == ("a", "b", 1, 2)
    assert changed.message.startswith("Embedding model changed: a → b\nVector dimensions: 1 → 2\n")


def test_revisions_grow_even_where_the_clock_steps_back() -> None:
    assert next_revision(0.0) == 1
    assert next_revision(2.5) == 2_500_000
    assert next_revision(2.5, previous=1_000) == 2_500_000
    assert next_revision(2.5, previous=2_500_000) == 2_500_001
    assert next_revision(1.0, previous=2_500_000) == 2_500_001
