"""The file of an import as a stream of UTF-8 text, whatever its encoding; or why it is none that could be read."""

from __future__ import annotations

import codecs
import gzip
import io
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from mcp_memory.domain.errors import InvalidInputError

LOOKED_AT = 65_536
"""Bytes at the start that tell what a file is."""
_GZIP = b"\x1f\x8b"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose BOM it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"{\0", "utf-16-le"),
    (b"[\0", "utf-16-le"),
    (b"\0{", "utf-16-be"),
    (b"\0[", "utf-16-be"),
)
_OTHERS = (
    (b"SQLite format 3\0", "an SQLite database. Bring it in with:  memory migrate sqlite --source FILE"),
    (b"PK\x03\x04", "a zip archive: unpack it, and import what is in it"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd:  zstd -dc FILE | memory import -"),
    (b"BZh", "compressed by bzip2:  bzip2 -dc FILE | memory import -"),
    (b"\xfd7zXZ", "compressed by xz:  xz -dc FILE | memory import -"),
)


class Opened:
    """A text to read, and what is known of it before."""

    def __init__(self, name: str, file: BinaryIO, *, total: int | None) -> None:
        """Raises InvalidInputError for what holds no text that could be memories."""
        self.name = name
        self.total = total
        """Bytes to come, where that is known."""
        start, stream = _beginning(file)
        if start.startswith(_GZIP):
            self.total = None
            start, stream = _beginning(cast("BinaryIO", gzip.GzipFile(fileobj=stream)))
        buffered = io.BufferedReader(stream, LOOKED_AT)
        for magic, what in _OTHERS:
            if start.startswith(magic):
                raise self._refusal(what.replace("FILE", name))
        encoding = next((encoding for bom, encoding in _BOMS if start.startswith(bom)), "utf-8")
        # A byte that isn't UTF-8 makes its own line a bad one, and no other.
        errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
        self.text = io.TextIOWrapper(buffered, encoding=encoding, errors=errors, newline="\n")
        self.beginning = start.decode(encoding, "replace").removeprefix("\ufeff")
        self._check()

    @property
    def is_array(self) -> bool:
        return self.beginning.lstrip()[:1] == "["

    def _check(self) -> None:
        lines = [line.strip() for line in self.beginning.splitlines() if line.strip()]
        if not lines:
            raise self._refusal("empty: there is nothing to import")
        if lines[0][0] == "[":
            return
        if '"export_metadata"' in self.beginning or (lines[0][0] == "{" and '"memories"' in lines[0][:200]):
            raise self._refusal(
                f"an export of the original service. Bring it in with:  memory migrate sqlite --source {self.name}"
            )
        if lines[0] == "{":
            raise self._refusal("JSON over several lines; a memory stands on one line:  jq -c . FILE | memory import -")
        if not any(line.startswith("{") for line in lines):
            raise self._refusal(
                f"neither JSON lines nor a JSON array: it begins with {lines[0][:40]!r}. "
                'A memory is an object on a line of its own: {"content": "..."}'
            )

    def _refusal(self, what: str) -> InvalidInputError:
        return InvalidInputError(f"{'stdin' if self.name == '-' else self.name} is {what.rstrip('.')}.")


class _Begun(io.RawIOBase):
    """A stream of which the beginning was read already, from its beginning."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._start[: len(buffer)] or _some(self._rest, len(buffer))
        self._start = self._start[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)


def _some(file: BinaryIO, most: int) -> bytes:
    """What one read gives: of a compressed file that is cut off, everything before the cut."""
    return bytes(getattr(file, "read1", file.read)(most))


def _beginning(file: BinaryIO) -> tuple[bytes, _Begun]:
    """Up to LOOKED_AT bytes, of a pipe too, and the whole stream. Raises InvalidInputError."""
    start = b""
    try:
        while len(start) < LOOKED_AT and (piece := _some(file, LOOKED_AT - len(start))):
            start += piece
    except (EOFError, OSError, zlib.error) as error:
        if not start:
            raise InvalidInputError(f"The file can't be read: {error}.") from error
    return start, _Begun(start, file)


@contextmanager
def opened(name: str) -> Iterator[Opened]:
    """`-` is stdin. Raises InvalidInputError."""
    if name == "-":
        yield Opened(name, sys.stdin.buffer, total=None)
        return
    path = Path(name)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InvalidInputError(f"{name} is a folder: name the file in it.")
        with path.open("rb", buffering=0) as file:
            yield Opened(name, cast("BinaryIO", file), total=status.st_size if stat.S_ISREG(status.st_mode) else None)
    except FileNotFoundError:
        raise InvalidInputError(f"There is no file {name}.") from None
    except OSError as error:
        raise InvalidInputError(f"Can't read {name}: {error.strerror or error}.") from error
