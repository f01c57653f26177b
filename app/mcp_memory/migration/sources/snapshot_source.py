"""What sources in SQLite files have in common: a snapshot that is open as long as they are, and errors that name the path."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

from mcp_memory.migration.sources.base import LIVE, Selection, SourceBatch, SourceError, SourceReport
from mcp_memory.migration.sources.snapshot import Snapshot


class Opened(Protocol):
    """What an open source knows."""

    @property
    def snapshot(self) -> Snapshot: ...


State = TypeVar("State", bound=Opened)


class SnapshotSource(ABC, Generic[State]):
    """See sources.base.Source; entered and left by one thread, read by another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: State | None = None

    @property
    def path(self) -> Path:
        return self._path

    def __enter__(self) -> Self:
        snapshot = self._snapshot()
        try:
            self._state = self._open(snapshot)
        except sqlite3.Error as error:
            snapshot.close()
            raise self._damaged(error) from error
        except BaseException:
            snapshot.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._state is not None:
            self._state.snapshot.close()
            self._state = None

    def inspect(self) -> SourceReport:
        opened = self._opened
        with opened.snapshot.in_use, self._telling_damage(opened):
            found = self._inspect(opened)
            opened.snapshot.check_unchanged()
        return found

    def read(self, *, after: int = 0, batch_size: int = 500, select: Selection = LIVE) -> Iterator[SourceBatch]:
        opened = self._opened
        return opened.snapshot.reading(self._read(opened, after, batch_size, select))

    @abstractmethod
    def _snapshot(self) -> Snapshot:
        """Of the file that holds the memories."""

    @abstractmethod
    def _open(self, snapshot: Snapshot) -> State: ...

    @abstractmethod
    def _inspect(self, opened: State) -> SourceReport: ...

    @abstractmethod
    def _read(self, opened: State, after: int, batch_size: int, select: Selection) -> Iterator[SourceBatch]: ...

    @abstractmethod
    def _damaged(self, error: sqlite3.Error) -> SourceError: ...

    @property
    def _opened(self) -> State:
        if self._state is None:
            raise SourceError(f"{self._path} isn't open: enter the source first.")
        return self._state

    @contextmanager
    def _telling_damage(self, opened: State) -> Iterator[None]:
        """An error of SQLite is damage, unless somebody has written meanwhile."""
        try:
            yield
        except sqlite3.Error as error:
            opened.snapshot.check_unchanged()
            raise self._damaged(error) from error
