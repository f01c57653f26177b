"""Arguments are read as language models write them, and mistakes are named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.mcp.arguments import Arguments


@pytest.mark.parametrize("value", [7, 7.0, "7", " 7 ", "7.0"])
def test_a_whole_number_may_be_written_in_several_ways(value: object) -> None:
    assert Arguments({"n": value}).integer("n", 1) == 7


@pytest.mark.parametrize("value", [None, "", "  "])
def test_nothing_stands_for_the_default(value: object) -> None:
    arguments = Arguments({"n": value})
    assert arguments.integer("n", 5) == 5
    assert arguments.flag("n", default=True) is True
    assert arguments.filled("n") is None
    assert arguments.tags("n") in (None, "  ")
    assert arguments.mapping("n") is None
    assert arguments.time("n") is None


@pytest.mark.parametrize(("value", "meaning"), [(True, True), ("false", False), ("True", True)])
def test_a_flag_may_be_a_text(value: object, meaning: bool) -> None:
    assert Arguments({"f": value}).flag("f") is meaning


def test_an_object_may_be_json_in_a_text() -> None:
    assert Arguments({"m": '{"a": [1]}'}).mapping("m") == {"a": [1]}


READERS: list[tuple[str, Callable[[Arguments], Any], list[object]]] = [
    ("integer", lambda a: a.integer("x", 1), ["five", 1.5, True, [], float("nan"), float("inf"), "nan"]),
    ("number", lambda a: a.number("x"), ["half", False, {}]),
    ("flag", lambda a: a.flag("x"), ["maybe", 1, []]),
    ("text", lambda a: a.text("x"), [1, [], {}]),
    ("tags", lambda a: a.tags("x"), [1, {"a": 1}]),
    ("mapping", lambda a: a.mapping("x"), ["[1]", "not json", 3, [1], "[" * 100_000]),
    ("time", lambda a: a.time("x"), [[], True]),
]


@pytest.mark.parametrize(
    ("read", "value"),
    [pytest.param(read, value, id=f"{name}-{value!r:.20}") for name, read, bad in READERS for value in bad],
)
def test_a_wrong_argument_is_refused_by_name(read: Callable[[Arguments], Any], value: object) -> None:
    with pytest.raises(InvalidInputError, match="argument x must be") as caught:
        read(Arguments({"x": value}))
    assert caught.value.field == "x"
    assert len(caught.value.message) < 200
