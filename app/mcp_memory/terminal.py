"""What reaches a terminal: stored and foreign text must not drive it, nor show itself in another order than it stands.

Standard library only. `printable` is the one rule; `protect` puts it before stdout and stderr where those are terminals, so
that no print, traceback or library forgets it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, TextIO

CONTROLS = (*range(32), *range(127, 160))
"""C0, DEL and C1: escape sequences, the bell, the cursor."""
DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Marks, embeddings, overrides and isolates of the bidirectional algorithm (Unicode TR 36)."""
SEPARATORS = (0x2028, 0x2029)
_KEPT = "\n\t"


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


_SHOWN = {code: _escape(code) for code in (*CONTROLS, *DIRECTIONS, *SEPARATORS) if chr(code) not in _KEPT}
_IN_JSON = {code: f"\\u{code:04x}" for code in (*range(127, 160), *DIRECTIONS, *SEPARATORS)}


def printable(text: str) -> str:
    """A text as a terminal may show it: what would drive it is shown as an escape."""
    return text.encode("utf-8", "backslashreplace").decode().translate(_SHOWN)


def json_text(value: object, *, indent: int | None = None) -> str:
    """JSON that means the same and holds nothing that drives a terminal (C0 is escaped by JSON itself)."""
    text = escaped_json(json.dumps(value, ensure_ascii=False, indent=indent))
    return text.encode("utf-8", "backslashreplace").decode()


def escaped_json(text: str) -> str:
    """JSON text whose characters that drive a terminal are written as \\u escapes."""
    return text.translate(_IN_JSON)


class Protected:
    """A terminal's stream that shows every text as `printable` does. `raw` is for what styles its output itself (Rich)."""

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        self.raw.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def protect() -> None:
    """Put `Protected` before stdout and stderr where they are terminals. Calling it again changes nothing."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Protected) and stream.isatty():
            setattr(sys, name, Protected(stream))


def raw_stream(stream: TextIO) -> TextIO:
    """The terminal behind a protected stream, for text that was made printable before it was styled."""
    return stream.raw if isinstance(stream, Protected) else stream
