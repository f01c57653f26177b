"""stdin and stdout as lines, for pipes, files and terminals, on every platform."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

LONGEST_LINE = 64 * 1024 * 1024
_CHUNK = 65_536
_AHEAD = 64


class LineTooLongError(ValueError):
    """A message longer than any that could be served."""


class StandardStreams:
    """stdin and stdout for this protocol alone: meanwhile the process's own stdout is its stderr, its stdin empty.

    stdin is read by a thread of its own, since files and Windows' pipes can't be waited for by the event loop; by plain
    reads, since a buffered reader's lock could hold up the end of the process.
    """

    def __enter__(self) -> Self:
        sys.stdout.flush()
        self._stdin, self._stdout = os.dup(0), os.dup(1)
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415

            msvcrt.setmode(self._stdin, os.O_BINARY)
            msvcrt.setmode(self._stdout, os.O_BINARY)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        self._writing = asyncio.Lock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """stdout is the caller's again; stdin's descriptor stays open, since a thread may still wait in a read."""
        with suppress(OSError):
            os.dup2(self._stdout, 1)
        os.close(self._stdout)

    async def lines(self) -> AsyncIterator[bytes]:
        """Lines of stdin as they come. A reader that is slow makes the writer wait."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_AHEAD)

        def read() -> None:
            try:
                for line in self._read():
                    asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()
                asyncio.run_coroutine_threadsafe(queue.put(None), loop).result()
            except (RuntimeError, asyncio.CancelledError):
                pass  # the loop has ended first

        threading.Thread(target=read, daemon=True, name="stdin").start()
        while (line := await queue.get()) is not None:
            yield line

    def _read(self) -> Iterator[bytes]:
        parts: list[bytes] = []
        size = 0
        while chunk := _read_some(self._stdin):
            *whole, rest = chunk.split(b"\n")
            for line in whole:
                yield b"".join([*parts, line])
                parts, size = [], 0
            parts.append(rest)
            size += len(rest)
            if size > LONGEST_LINE:
                print(f"memory mcp: a message is longer than {LONGEST_LINE} bytes", file=sys.stderr)
                return
        if last := b"".join(parts):
            yield last

    async def write(self, line: bytes) -> None:
        """Write one line, whole, in a thread: a client that doesn't read holds up its own answers only.

        Raises BrokenPipeError when nobody reads any more.
        """
        async with self._writing:
            await asyncio.to_thread(_write_all, self._stdout, line + b"\n")


def _read_some(fd: int) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except OSError:
        return b""  # Windows: the other end is gone


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
