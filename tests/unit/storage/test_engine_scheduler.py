"""Whose turn it is in the engine while the disk is slow."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mcp_memory.storage.qdrant_embedded import scheduler as module
from mcp_memory.storage.qdrant_embedded.protocol import Done, Number, Response
from mcp_memory.storage.qdrant_embedded.scheduler import FLUSH_FROM, Pending, Scheduler


@dataclass
class Collection:
    unflushed: int = 0
    flushes: int = 0

    def flush(self) -> None:
        self.unflushed = 0
        self.flushes += 1


@dataclass
class Store:
    shard: Path
    collection: Collection = field(default_factory=Collection)

    def check_space(self) -> None:
        """There is some."""


@dataclass
class Client:
    answers: list[int] = field(default_factory=list)

    def answer(self, number: int, _: Response) -> None:
        self.answers.append(number)


class Disk:
    """Syncs that end when the test lets them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[str] = []
        self.error: OSError | None = None
        self.free = threading.Semaphore(0)
        for name in ("sync_log", "sync_files"):
            monkeypatch.setattr(module, name, lambda _, name=name: self._sync(name))

    def _sync(self, name: str) -> None:
        self.begun.append(name)
        assert self.free.acquire(timeout=10)
        if self.error is not None:
            raise self.error


@dataclass
class World:
    disk: Disk
    scheduler: Scheduler
    client: Client
    woken: threading.Semaphore
    numbers: int = 0

    def write(self, points: int = 1) -> int:
        collection = self.scheduler.store.collection

        def job() -> Generator[None, None, Response]:
            yield from ()
            collection.unflushed += points
            return Done()

        return self._add(self.scheduler.writes, job())

    def read(self) -> int:
        def job() -> Generator[None, None, Response]:
            yield from ()
            return Number(1)

        return self._add(self.scheduler.reads, job())

    def _add(self, queue: Any, job: Generator[None, None, Response]) -> int:
        self.numbers += 1
        queue.append(Pending(self.client, self.numbers, job))  # type: ignore[arg-type]
        return self.numbers

    def let_the_disk_finish(self) -> None:
        self.disk.free.release()
        assert self.woken.acquire(timeout=10), "nobody was woken when the sync had ended"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    monkeypatch.setattr(module, "can_sync_log", lambda: True)
    woken = threading.Semaphore(0)
    scheduler = Scheduler(Store(tmp_path), woken.release)  # type: ignore[arg-type]
    return World(Disk(monkeypatch), scheduler, Client(), woken)


def test_reads_are_answered_while_a_write_waits_for_the_disk(world: World) -> None:
    write = world.write()
    world.scheduler.turn()
    assert world.scheduler.syncing
    assert not world.scheduler.idle
    read = world.read()
    world.scheduler.turn()
    assert world.client.answers == [read]
    world.let_the_disk_finish()
    world.scheduler.turn()
    assert world.client.answers == [read, write]
    assert world.scheduler.idle
    assert world.disk.begun == ["sync_log"]


def test_a_write_that_came_after_the_sync_began_waits_for_the_next_one(world: World) -> None:
    first = world.write()
    world.scheduler.turn()
    second = world.write()
    world.scheduler.turn()
    world.let_the_disk_finish()
    world.scheduler.turn()
    assert world.client.answers == [first]
    world.let_the_disk_finish()
    world.scheduler.turn()
    assert world.client.answers == [first, second]


def test_a_flush_waits_until_the_files_are_synced_and_answers_everything(world: World) -> None:
    first = world.write(FLUSH_FROM)
    world.scheduler.turn()
    second = world.write()
    world.scheduler.turn()
    collection = world.scheduler.store.collection
    assert (world.disk.begun, collection.unflushed) == (["sync_files"], FLUSH_FROM + 1)
    world.let_the_disk_finish()
    world.scheduler.turn()
    assert world.client.answers == [first, second]
    assert (collection.unflushed, collection.flushes) == (0, 1)
    assert world.scheduler.idle


def test_committing_for_a_hand_over_leaves_nothing_under_way(world: World) -> None:
    first = world.write()
    world.scheduler.turn()
    second = world.write()
    world.scheduler._run_writes()
    world.disk.free.release(2)
    world.scheduler.commit()
    assert world.client.answers == [first, second]
    assert world.scheduler.idle


def test_nobody_is_told_that_a_write_is_durable_when_the_disk_failed(world: World) -> None:
    world.disk.error = OSError(5, "Input/output error")
    world.write()
    world.scheduler.turn()
    world.let_the_disk_finish()
    with pytest.raises(OSError, match="Input/output error"):
        world.scheduler.turn()
    assert world.client.answers == []
