"""The elements of one array inside a large JSON object, without holding the whole text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

_READ = 1024 * 1024
_BLANKS = " \t\n\r"
_IN_A_NUMBER = ".eE+-0123456789"
"""A number that ends what has been read may go on: "1" of "1.5"."""


class JsonFormatError(ValueError):
    """The text isn't the JSON that was expected; the message says what was found."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the top-level object, read whole."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Element:
    """An element of the streamed array."""

    value: Any


class JsonStream:
    """Walks a top-level object; the array called `streamed` comes element by element, every other member as a whole."""

    def __init__(self, file: TextIO, streamed: str = "") -> None:
        self._file = file
        self._streamed = streamed
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._ended = False

    def __iter__(self) -> Iterator[Member | Element]:
        self._expect("{")
        if self._peek() == "}":
            return
        while True:
            name = self._value()
            if not isinstance(name, str):
                raise JsonFormatError("a member's name was expected")
            self._expect(":")
            if name == self._streamed and self._peek() == "[":
                yield from self._elements()
            else:
                yield Member(name, self._value())
            if self._expect(",}") == "}":
                return

    def elements(self) -> Iterator[Element]:
        """Those of a top-level array, for a text that is one."""
        yield from self._elements()
        if found := self._peek():
            raise JsonFormatError(f"the end was expected behind the array, found {found!r}")

    def _elements(self) -> Iterator[Element]:
        self._expect("[")
        if self._peek() == "]":
            self._expect("]")
            return
        while True:
            yield Element(self._value())
            if self._expect(",]") == "]":
                return

    def _peek(self) -> str:
        """The next character that isn't blank, left in place; "" at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANKS:
                    return self._text[self._at]
                self._at += 1
            if not self._more(_READ):
                return ""

    def _expect(self, wanted: str) -> str:
        found = self._peek()
        if found == "" or found not in wanted:
            what = f"found {found!r}" if found else "the text ends"
            raise JsonFormatError(f"{' or '.join(repr(one) for one in wanted)} was expected, {what}")
        self._at += 1
        return found

    def _value(self) -> Any:
        """The next value. One that isn't complete in what has been read is tried again with twice as much."""
        self._peek()
        reach = _READ
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._more(reach):
                    raise JsonFormatError(error.msg) from error
            except RecursionError:
                raise JsonFormatError("a value is nested too deeply") from None
            else:
                if self._ended or (end < len(self._text) and self._text[end] not in _IN_A_NUMBER):
                    self._at = end
                    return value
                self._more(reach)
            reach *= 2

    def _more(self, characters: int) -> bool:
        piece = self._file.read(characters)
        self._text = self._text[self._at :] + piece
        self._at = 0
        self._ended = not piece
        return bool(piece)
