"""The file of an import, read in batches of bounded size."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mcp_memory.cli.opening import Opened, opened
from mcp_memory.cli.progress import Progress
from mcp_memory.migration.sources.json_stream import Element, JsonFormatError, JsonStream

BATCH_MEMORIES = 100
BATCH_BYTES = 1_000_000
MAX_LINE = 4 * 1024 * 1024
"""Characters of one line: more is no memory, and would be held as a whole."""


@dataclass(slots=True)
class Batch:
    """Lines with their numbers, and those that are none, with why."""

    lines: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        return len(self.lines) >= BATCH_MEMORIES or self.size >= BATCH_BYTES or len(self.unreadable) >= BATCH_MEMORIES

    def add(self, number: int, line: str | None, reason: str) -> None:
        if line is None:
            self.unreadable.append((number, reason))
            return
        self.size += len(line)
        self.lines.append(line)
        self.numbers.append(number)


@dataclass(frozen=True, slots=True)
class Reading:
    batches: Iterator[Batch]
    unit: str
    """What is counted: "line", or "item" of an array."""


@contextmanager
def read_batches(name: str) -> Iterator[Reading]:
    """Batches of a file (`-` is stdin), with a progress bar over its bytes. Raises InvalidInputError for no import file."""
    with opened(name) as source, Progress("Importing", total=source.total, bytes_=True) as progress:
        records = _items(source) if source.is_array else _lines(source)
        yield Reading(_batches(records, progress), "item" if source.is_array else "line")


def _batches(records: Iterator[tuple[int, str | None, str]], progress: Progress) -> Iterator[Batch]:
    batch = Batch()
    for record in records:
        batch.add(*record)
        if batch.full:
            yield batch
            progress.advance(batch.size)
            batch = Batch()
    yield batch
    progress.advance(batch.size)


def _lines(source: Opened) -> Iterator[tuple[int, str | None, str]]:
    """Number, text (None where it can't be one) and why; blank lines are counted and left out."""
    number = 0
    while True:
        number += 1
        try:
            line = source.text.readline(MAX_LINE + 1)
            too_long = len(line) > MAX_LINE
            while too_long and line and not line.endswith("\n"):
                line = source.text.readline(MAX_LINE)
        except (EOFError, OSError, zlib.error, UnicodeError) as error:
            yield number, None, f"the file can't be read from here on: {error}"
            return
        if too_long:
            yield number, None, f"longer than {MAX_LINE:,} characters"
        elif not line:
            return
        elif line.strip():
            yield number, *_as_utf8(line)


def _as_utf8(line: str) -> tuple[str | None, str]:
    try:
        line.encode()
    except UnicodeEncodeError as error:
        return None, f"not UTF-8 at character {error.start + 1}"
    return line.strip().removeprefix("\ufeff"), ""


def _items(source: Opened) -> Iterator[tuple[int, str | None, str]]:
    """The elements of an array, each as a line of its own."""
    number = 0
    try:
        for number, part in enumerate(JsonStream(source.text).elements(), start=1):
            yield number, *_element(part)
    except (JsonFormatError, EOFError, OSError, zlib.error, UnicodeError) as error:
        yield number + 1, None, f"the file can't be read from here on: {error}"


def _element(part: Element) -> tuple[str | None, str]:
    line = json.dumps(part.value)
    return (line, "") if len(line) <= MAX_LINE else (None, f"longer than {MAX_LINE:,} characters")
