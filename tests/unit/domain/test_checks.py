"""Bad input is refused by name before it reaches an embedder or a storage."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_memory.domain import checks
from mcp_memory.domain.errors import DimensionMismatchError, InvalidInputError


def nested(depth: int, *, lists: bool = False) -> dict[str, object]:
    value: object = "end"
    for _ in range(depth - 1):
        value = [value] if lists else {"a": value}
    return {"a": value}


@pytest.mark.parametrize(
    "content", ["", "   ", "\n\t", "\u3000", "a\0b", "\0a", "\ud83d", "x" * 101, None, 5, b"bytes"]
)
def test_content_that_is_no_text_for_a_new_memory_is_refused(content: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        checks.check_content(content, max_length=100)
    assert caught.value.field == "content"


def test_the_message_tells_where_a_nul_is() -> None:
    with pytest.raises(InvalidInputError, match=r"^content holds a NUL character at position 1; remove it\.$"):
        checks.check_content("a\0b\0", max_length=100)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"a": {"b\0": 1}}, "a key of metadata.a holds a NUL character at position 1; remove it."),
        ({"a": ["x", "y\0"]}, "metadata.a[1] holds a NUL character at position 1; remove it."),
        ({"a": {"b": math.nan}}, "metadata.a.b is nan, which JSON can't hold; use null or a finite number."),
    ],
)
def test_the_message_tells_which_part_of_the_metadata_it_is(metadata: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        checks.check_metadata(metadata)  # type: ignore[arg-type]
    assert caught.value.message == message


def test_imported_metadata_may_be_large_and_hold_nul_in_keys_too() -> None:
    metadata = {"a\0": "x" * checks.MAX_METADATA_BYTES}
    assert checks.check_metadata(metadata, imported=True) == metadata


def test_metadata_of_the_largest_size_passes() -> None:
    largest = {"a": "x" * (checks.MAX_METADATA_BYTES - len('{"a":""}'))}
    assert checks.check_metadata(largest) == largest


@pytest.mark.parametrize("content", ["x", "x" * 100, "  kept blanks ", "日本語", "e\u0301", "😀" * 100])
def test_content_is_kept_as_it_is(content: str) -> None:
    assert checks.check_content(content, max_length=100) == content


def test_the_message_for_long_content_names_length_limit_and_setting() -> None:
    with pytest.raises(InvalidInputError, match=r"70,000 characters.*65,536.*MCP_MAX_CONTENT_LENGTH"):
        checks.check_content("x" * 70_000, max_length=65_536)


def test_imported_content_may_be_long_and_hold_nul_but_not_be_blank_or_broken() -> None:
    assert checks.check_content("x\0" * 100, max_length=10, imported=True) == "x\0" * 100
    for content in (" ", "\udfff"):
        with pytest.raises(InvalidInputError):
            checks.check_content(content, max_length=10, imported=True)


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": math.nan},
        {"a": [math.inf]},
        {"a": -math.inf},
        {"a": 2**70},
        {"a": 2**63},
        {"a": -(2**63) - 1},
        {"a": [{"b": 2**64}]},
        nested(33),
        nested(200),
        nested(200, lists=True),
        nested(50_000),
        {"a": "\ud800"},
        {"\ud800": 1},
        {"a": "nul\0"},
        {"nul\0": 1},
        {1: "number as a key"},
        {"a": {None: 1}},
        {"a": {1, 2}},
        {"a": b"bytes"},
        {"a": (1, 2)},
        {"a": object()},
        {"a": "x" * 70_000},
        [1],
        "text",
    ],
)
def test_metadata_that_could_not_be_stored_or_loaded_again_is_refused(metadata: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        checks.check_metadata(metadata)  # type: ignore[arg-type]
    assert caught.value.field == "metadata"


def test_a_metadata_object_that_contains_itself_is_refused() -> None:
    loop: dict[str, object] = {}
    loop["self"] = loop
    with pytest.raises(InvalidInputError, match="32 levels"):
        checks.check_metadata(loop)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"a": 2**63 - 1, "b": -(2**63), "c": True, "d": None, "e": 0.1, "f": [1, {"g": "h"}]},
        nested(32),
        nested(32, lists=True),
        {"": "an empty key is JSON"},
        {"dotted.key[0]": 1},
    ],
)
def test_json_metadata_is_kept_as_it_is(metadata: dict[str, object]) -> None:
    assert checks.check_metadata(metadata) == metadata


def test_imported_metadata_may_be_larger_but_not_deeper() -> None:
    large = {"a": "x" * 100_000}
    assert checks.check_metadata(large, imported=True) == large
    with pytest.raises(InvalidInputError, match="32 levels"):
        checks.check_metadata(nested(33), imported=True)


def test_the_error_names_the_place_inside_metadata() -> None:
    with pytest.raises(InvalidInputError, match=r"metadata\.a\[1\]\.b is nan"):
        checks.check_metadata({"a": [0, {"b": math.nan}]})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_accepted_metadata_survives_strict_json(metadata: dict[str, object]) -> None:
    try:
        accepted = checks.check_metadata(metadata)
    except InvalidInputError:
        return
    assert json.loads(json.dumps(accepted, allow_nan=False).encode()) == metadata


@pytest.mark.parametrize(
    ("raw", "kept"), [(None, None), ("", None), ("  ", None), (" Decision ", "decision"), ("note/sub", "note/sub")]
)
def test_a_memory_type_is_stripped_and_lower_case(raw: str | None, kept: str | None) -> None:
    assert checks.check_memory_type(raw) == kept


@pytest.mark.parametrize("raw", ["a\nb", "x" * 129, "\0", "\ud800", 5])
def test_a_memory_type_is_a_short_visible_name(raw: object) -> None:
    with pytest.raises(InvalidInputError, match=r"^memory_type ") as caught:
        checks.check_memory_type(raw)  # type: ignore[arg-type]
    assert caught.value.field == "memory_type"


@pytest.mark.parametrize("raw", ["", " ", "all", "ALL", "a\nb", "x" * 129, None, 3])
def test_a_store_to_write_to_has_a_name_of_its_own(raw: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        checks.check_store(raw)
    assert caught.value.field == "store"


def test_a_store_keeps_its_name() -> None:
    assert checks.check_store(" Work ") == "Work"
    assert checks.check_store("x" * 128) == "x" * 128


@pytest.mark.parametrize("raw", ["a\nb", "x" * 129, 3])
def test_a_store_to_look_in_has_a_name(raw: object) -> None:
    with pytest.raises(InvalidInputError, match=r"^store ") as caught:
        checks.check_store_choice(raw)  # type: ignore[arg-type]
    assert caught.value.field == "store"


@pytest.mark.parametrize(("raw", "choice"), [(None, None), ("all", None), ("All ", None), ("", None), ("work", "work")])
def test_all_means_every_store(raw: str | None, choice: str | None) -> None:
    assert checks.check_store_choice(raw) == choice


@pytest.mark.parametrize("limit", [0, -1, 101, 2**70, True, 1.0, "5", None, math.nan])
def test_a_limit_is_a_whole_number_from_1_to_100(limit: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        checks.check_limit(limit)
    assert caught.value.field == "limit"


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, math.inf, "0.5", True])
def test_a_threshold_is_a_number_from_0_to_1(threshold: float) -> None:
    with pytest.raises(InvalidInputError) as caught:
        checks.check_threshold(threshold)
    assert caught.value.field == "similarity_threshold"
    assert checks.check_threshold(None) is None


@pytest.mark.parametrize("query", ["nul\0", "\udc00", "x" * 8_193, 5])
def test_a_query_that_could_not_be_searched_is_refused(query: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        checks.check_query(query)  # type: ignore[arg-type]
    assert caught.value.field == "query"


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, 1e12, "now", None, True])
def test_a_time_is_utc_seconds(seconds: object) -> None:
    with pytest.raises(InvalidInputError):
        checks.check_time(seconds, "created_at")


def test_milliseconds_are_recognised_as_such_and_other_mistakes_are_not() -> None:
    with pytest.raises(InvalidInputError, match=r"\. It looks like milliseconds: divide it by 1000\.$"):
        checks.check_time(1_709_634_600_000, "created_at")
    for mistake in (-1, checks.LATEST_TIME * 1_001, "now"):
        with pytest.raises(InvalidInputError) as caught:
            checks.check_time(mistake, "created_at")
        assert caught.value.message.endswith(f"got {mistake!r}."), caught.value.message


def test_limits_themselves_are_within_them() -> None:
    assert [checks.check_limit(limit) for limit in (1, 2, 100)] == [1, 2, 100]
    assert [checks.check_time(seconds, "created_at") for seconds in (0, checks.LATEST_TIME)] == [
        0.0,
        checks.LATEST_TIME,
    ]


def test_a_vector_is_finite_float32_of_the_right_size() -> None:
    assert checks.check_vector([0.6, 0.8], 2).dtype == np.float32
    with pytest.raises(DimensionMismatchError):
        checks.check_vector([1.0, 0.0], 3)
    for bad in ([math.nan, 1.0], [math.inf, 0.0], [1e39, 0.0], [0.0, 0.0]):
        with pytest.raises(InvalidInputError), np.errstate(over="ignore"):
            checks.check_vector(bad, 2)


def test_a_query_is_stripped_and_nothing_is_no_query() -> None:
    assert checks.check_query("  tea \n") == "tea"
    assert checks.check_query(None) is None
    assert checks.check_query(" \t") is None
    assert checks.check_query(f" {'x' * checks.MAX_QUERY_LENGTH} ") == "x" * checks.MAX_QUERY_LENGTH


@pytest.mark.parametrize("threshold", [0, 0.0, 0.5, 1, 1.0])
def test_a_threshold_within_the_scale_is_a_float(threshold: float) -> None:
    checked = checks.check_threshold(threshold)
    assert checked == threshold
    assert isinstance(checked, float)
