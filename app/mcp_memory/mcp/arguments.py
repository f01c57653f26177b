"""Reading a tool's arguments as language models write them: numbers as text, lists as comma strings, null for nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.memories.requests import RawTags, RawTime


class Arguments:
    """The arguments of one call. null, and for filters a blank text, mean "not given".

    Every reader raises InvalidInputError that names the argument; ranges are the use cases' matter.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, name: str) -> str | None:
        """A text as it is; None where it isn't given."""
        value = self._values.get(name)
        if value is None or isinstance(value, str):
            return value
        raise _wrong(name, "a text", value)

    def filled(self, name: str) -> str | None:
        """A text that narrows something down: None where it isn't given, or blank."""
        value = self.text(name)
        return value if value is not None and value.strip() else None

    def required(self, name: str) -> str:
        """A text that must be given; it may be blank, which is the use case's to judge."""
        value = self.text(name)
        if value is None:
            raise InvalidInputError(f"The argument {name} is required.", field=name)
        return value

    def integer(self, name: str, default: int) -> int:
        """A whole number: 5, 5.0 or "5"."""
        number = self.number(name)
        if number is None:
            return default
        if number != int(number):
            raise _wrong(name, "a whole number", self._values[name])
        return int(number)

    def at_most(self, name: str, default: int, most: int) -> tuple[int, str]:
        """A whole number of things to give, `most` where more was asked for; then a word on that to add to the answer."""
        number = self.integer(name, default)
        return (number, "") if number <= most else (most, f" ({name}: {most} at most, {number:,} asked for)")

    def number(self, name: str) -> float | int | None:
        """A finite number, or a text that spells one."""
        value = self._values.get(name)
        if isinstance(value, str):
            try:
                value = float(value) if value.strip() else None
            except ValueError:
                raise _wrong(name, "a number", value) from None
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
            raise _wrong(name, "a number", value)
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """true or false, also as text."""
        value = self._values.get(name)
        if isinstance(value, str):
            value = {"true": True, "false": False, "": None}.get(value.strip().lower(), value)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        raise _wrong(name, "true or false", value)

    def tags(self, name: str) -> RawTags:
        """A list of texts or a comma-separated text; None where it isn't given or empty."""
        value = self._values.get(name)
        if value is None or isinstance(value, str | list):
            return value or None
        raise _wrong(name, "a list of texts", value)

    def time(self, name: str) -> RawTime:
        """UTC seconds, or a text for the use case to read; None where it isn't given, or blank."""
        value = self._values.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        return self.filled(name)

    def raw(self, name: str) -> Any:
        """As it was given; None where it wasn't."""
        return self._values.get(name)

    def texts(self, name: str) -> list[str]:
        """A list of texts, also one text with commas or a JSON array; [] where it isn't given."""
        value = self._values.get(name)
        if isinstance(value, str):
            value = _parsed_list(value)
        if value is None:
            return []
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return [item for item in value if item.strip()]
        raise _wrong(name, "a list of texts", self._values[name])

    def objects(self, name: str) -> list[dict[str, Any]]:
        """A list of JSON objects, also as text; [] where it isn't given."""
        value = self._values.get(name)
        if isinstance(value, str):
            value = _parsed_object(value)
        if value is None:
            return []
        if isinstance(value, list) and all(isinstance(item, dict | str) for item in value):
            return [{"content": item} if isinstance(item, str) else item for item in value]
        raise _wrong(name, "a list of JSON objects", self._values[name])

    def mapping(self, name: str) -> dict[str, Any] | None:
        """A JSON object, also as text."""
        value = self._values.get(name)
        if isinstance(value, str):
            value = _parsed_object(value)
        if value is None or isinstance(value, dict):
            return value
        raise _wrong(name, "a JSON object", self._values[name])


def is_finite(value: float) -> bool:
    """Whether it is a number that can be reckoned with: 1e400 is none, and nor is an integer of 400 digits."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _parsed_list(text: str) -> Any:
    return _parsed_object(text) if text.strip().startswith("[") else [part.strip() for part in text.split(",")]


def _parsed_object(text: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _wrong(name: str, wanted: str, value: object) -> InvalidInputError:
    shown = repr(value) if isinstance(value, str | int | float | bool) else f"a {type(value).__name__}"
    return InvalidInputError(f"The argument {name} must be {wanted}, got {shown[:80]}.", field=name)
