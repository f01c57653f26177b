"""The file of an export: complete under its name, or not there; what was cut off lies beside it as FILE.partial."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from mcp_memory.cli.progress import Progress
from mcp_memory.domain.errors import InvalidInputError, MemoryServiceError
from mcp_memory.domain.memory import point_id
from mcp_memory.terminal import escaped_json


class ExportFile:
    """Takes pages of JSON lines. `finish` puts the file under its name, on disk; leaving without it keeps FILE.partial."""

    def __init__(self, file: BinaryIO, path: Path | None, *, last_id: str | None, written: int, total: int) -> None:
        self._file = file
        self._path = path
        self.last_id = last_id
        """Of the last memory in the file, where an export goes on; None at the beginning."""
        self._written = written
        self._stack = ExitStack()
        self._progress = Progress("Exporting", total=total, done=written)

    @classmethod
    def open(cls, name: str, *, resume: bool, total: int) -> Self:
        """`-` is stdout. Raises InvalidInputError where there is nothing to resume, or another export seems to be at work."""
        if name == "-":
            return cls(sys.stdout.buffer, None, last_id=None, written=0, total=total)
        path = Path(name)
        partial = _partial(path)
        if resume and not partial.exists():
            raise InvalidInputError(f"There is no {partial} to go on with: export without --resume.")
        if not resume and partial.exists():
            raise InvalidInputError(
                f"{partial} is left from an export that was cut off: go on with --resume, or remove it:  rm {partial}"
            )
        try:
            fd = os.open(partial, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise InvalidInputError(f"Can't write {partial}: {error.strerror}.") from error
        file = os.fdopen(fd, "r+b")
        written, last_id = _whole_lines(file) if resume else (0, None)
        return cls(file, path, last_id=last_id, written=written, total=total)

    def write(self, lines: bytes, number: int) -> None:
        try:
            if self._path is None and sys.stdout.isatty():
                lines = escaped_json(lines.decode()).encode()
            self._file.write(lines)
        except BrokenPipeError:
            raise
        except OSError as error:
            name = _partial(self._path) if self._path else "stdout"
            raise MemoryServiceError(
                f"Can't write {name}: {error.strerror}. When that is put right, use --resume."
            ) from error
        self._written += number
        self._progress.advance(number)

    def finish(self) -> int:
        """Everything is written: number of memories in the file."""
        self._file.flush()
        if self._path is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            _partial(self._path).replace(self._path)
        return self._written

    def __enter__(self) -> Self:
        self._stack.enter_context(self._progress)
        if self._path is not None:
            self._stack.callback(self._file.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def _whole_lines(file: BinaryIO) -> tuple[int, str | None]:
    """Cut off a last line that isn't whole; number of lines that are, and the point id of the last of them."""
    number, end, last = 0, 0, b""
    for line in file:
        if not line.endswith(b"\n"):
            break
        number, end, last = number + 1, end + len(line), line
    file.seek(end)
    file.truncate()
    if not last:
        return 0, None
    try:
        return number, point_id(str(json.loads(last)["content_hash"]))
    except (ValueError, KeyError, TypeError):
        raise InvalidInputError(
            "The last line of the partial file is no memory: remove the file and export again."
        ) from None
