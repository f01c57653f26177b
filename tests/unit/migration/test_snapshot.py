"""A snapshot can't be closed under the thread that reads it: SQLite would take the whole process with it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from mcp_memory.migration.sources.base import SourceError
from mcp_memory.migration.sources.snapshot import Snapshot


@pytest.fixture
def snapshot(tmp_path: Path) -> Iterator[Snapshot]:
    path = tmp_path / "source.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE numbers (number INTEGER)")
    connection.commit()
    connection.close()
    snapshot = Snapshot(path)
    yield snapshot
    snapshot.close()


def test_closing_waits_for_the_thread_that_reads(snapshot: Snapshot) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def numbers() -> Iterator[int]:
        begun.set()
        go_on.wait(10)
        yield int(snapshot.connection.execute("SELECT 7").fetchone()[0])

    with ThreadPoolExecutor(2) as pool:
        read = pool.submit(next, snapshot.reading(numbers()))
        assert begun.wait(10)
        closed = pool.submit(snapshot.close)
        assert not wait([closed], timeout=0.2).done
        go_on.set()
        assert read.result(10) == 7
        closed.result(10)


def test_what_is_asked_for_after_closing_is_refused_in_words(snapshot: Snapshot) -> None:
    numbers = snapshot.reading(iter([1, 2]))
    assert next(numbers) == 1
    snapshot.close()
    with pytest.raises(SourceError, match=r"source\.db was closed while it was read"):
        next(numbers)
