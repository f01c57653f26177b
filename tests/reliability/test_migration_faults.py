"""A fault at every step, by exception and by kill -9, then --resume: the result equals that of a run without any."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_memory.domain.errors import StorageFullError
from mcp_memory.domain.memory import Memory
from mcp_memory.migration import run as module
from mcp_memory.migration.checkpoint import Checkpoint
from mcp_memory.migration.progress import Step
from mcp_memory.migration.target import Target
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from migration_world import DIMENSIONS, MODEL, Recorder, content, migrate, rows, sqlite_target, target
from original_databases import Generation, OriginalRow, build

pytestmark = pytest.mark.anyio
COUNT, BATCH = 70, 20
Content = dict[str, tuple[Memory, bytes]]


class FaultError(Exception):
    """What a test makes happen."""


def a_source(path: Path) -> Path:
    """Also with rows that must be embedded, and one that can't be read."""
    made = rows(COUNT)
    made[5] = OriginalRow(made[5].content, None)
    made[44] = OriginalRow(" ", made[44].vector)
    return build(path, Generation.V12_4, made, dimensions=DIMENSIONS)


def embedded(folder: Path) -> Target:
    return target(folder, QdrantEmbeddedStorage(EmbeddedOptions(folder, MODEL, disk_reserve_bytes=0)))


TARGETS: dict[str, Callable[[Path], Target]] = {"sqlite_vec": sqlite_target, "embedded": embedded}


async def uninterrupted(tmp_path: Path, kind: str) -> Content:
    report = await migrate(a_source(tmp_path / "s.db"), TARGETS[kind](tmp_path / "whole"), tmp_path / "whole.json")
    assert report.migrated == COUNT - 1
    return await content(TARGETS[kind](tmp_path / "whole"))


@pytest.fixture(autouse=True)
def every_batch_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)


async def resumed(tmp_path: Path, to: Callable[[], Target], checkpoint: Path) -> None:
    """Resume where there is something to resume; else start again, as a person would."""
    begun = checkpoint.exists()  # noqa: ASYNC240
    report = await migrate(tmp_path / "s.db", to(), checkpoint, resume=begun)
    assert (report.completed, report.succeeded) == (True, False)  # one row of the source can't be read
    assert (report.migrated, report.unreadable_count, report.failed_count) == (COUNT - 1, 1, 0)


def never_ahead(checkpoint: Path, held: Content) -> None:
    """What the checkpoint says is there."""
    if checkpoint.exists():
        known = Checkpoint.load(checkpoint)
        assert known.migrated_count <= len(held)
        if known.last_successful_hash:
            assert known.last_successful_hash in held


async def test_an_exception_at_any_step_then_resume_equals_an_uninterrupted_run(tmp_path: Path) -> None:
    expected = await uninterrupted(tmp_path, "sqlite_vec")
    number, seen = 0, set()
    while True:
        number += 1
        database, checkpoint = tmp_path / f"{number}.db", tmp_path / f"{number}.json"
        left = [number]

        def at(step: Step, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                seen.add(step)
                raise FaultError(step)

        try:
            await migrate(tmp_path / "s.db", sqlite_target(database), checkpoint, progress=Recorder(at=at))
        except FaultError:
            never_ahead(checkpoint, await content(sqlite_target(database)))
            await resumed(tmp_path, lambda path=database: sqlite_target(path), checkpoint)  # type: ignore[misc]
            assert await content(sqlite_target(database)) == expected
        else:
            break
    assert number > 20
    # The other two belong to a change of model: test_model_change_faults.py.
    assert seen == set(Step) - {Step.TAKE_OVER, Step.SETTLE}


RUN = textwrap.dedent(
    """
    import asyncio, os, signal, sys
    from pathlib import Path
    from mcp_memory.migration import run as module
    from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
    from mcp_memory.storage.sqlite_vec.backend import SqliteVecStorage
    from migration_world import Recorder, migrate
    from test_migration_faults import TARGETS

    kind, where, number, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    module.SECONDS_BETWEEN_CHECKPOINTS = 0.0

    def die(place):
        global number
        if place == where:
            number -= 1
            if number == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(owner, name, before, after):
        original = getattr(owner, name)
        if asyncio.iscoroutinefunction(original):
            async def changed(*args, **fields):
                die(before)
                answer = await original(*args, **fields)
                die(after)
                return answer
        else:
            def changed(*args, **fields):
                die(before)
                answer = original(*args, **fields)
                die(after)
                return answer
        setattr(owner, name, changed)

    for storage in (QdrantEmbeddedStorage, SqliteVecStorage):
        around(storage, "upsert", "before upsert", "after upsert")
        around(storage, "get_embedded", "before validation", "after validation")
        around(storage, "close", "before close", "after close")
    around(Path, "replace", "before rename", "after rename")
    around(os, "fsync", "before fsync", "after fsync")
    progress = Recorder(at=lambda step: die(str(step)))
    asyncio.run(migrate(folder / "s.db", TARGETS[kind](folder / "killed"), folder / "killed.json", progress=progress))
    """
)
PLACES = [
    ("reading", 1),
    ("reading", 3),
    ("embedding", 2),
    ("storing", 1),
    ("before upsert", 3),
    ("after upsert", 1),
    ("after upsert", 4),
    ("before validation", 2),
    ("after validation", 2),
    ("recording progress", 1),
    ("recording progress", 3),
    ("before fsync", 5),
    ("before rename", 1),
    ("before rename", 3),
    ("after rename", 3),
    ("closing", 1),
    ("before close", 1),
]


@pytest.mark.slow
@pytest.mark.parametrize("kind", TARGETS)
async def test_kill_9_at_any_place_then_resume_equals_an_uninterrupted_run(tmp_path: Path, kind: str) -> None:
    expected = await uninterrupted(tmp_path, kind)
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{here}:{here.parent}"}
    for where, number in PLACES:
        folder = tmp_path / f"{where}-{number}".replace(" ", "-")
        folder.mkdir()
        (folder / "s.db").symlink_to(tmp_path / "s.db")
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", RUN, kind, where, str(number), str(folder)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, (where, number, done.stderr)

        checkpoint = folder / "killed.json"
        held = await content(TARGETS[kind](folder / "killed"))
        never_ahead(checkpoint, held)
        if checkpoint.exists():
            await resumed(tmp_path, lambda path=folder: TARGETS[kind](path / "killed"), checkpoint)  # type: ignore[misc]
        else:
            report = await migrate(tmp_path / "s.db", TARGETS[kind](folder / "killed"), checkpoint, merge=bool(held))
            assert (report.completed, report.unreadable_count, report.failed_count) == (True, 1, 0)
        assert await content(TARGETS[kind](folder / "killed")) == expected, (where, number)


async def test_a_disk_that_fills_up_in_the_middle_ends_the_run_and_resume_finishes_it(tmp_path: Path) -> None:
    expected = await uninterrupted(tmp_path, "sqlite_vec")
    database, checkpoint = tmp_path / "full.db", tmp_path / "full.json"
    to = sqlite_target(database)

    def at(step: Step) -> None:
        opened = to.storage._database  # type: ignore[attr-defined]
        begun = step is Step.STORE and opened is not None and checkpoint.exists()
        if begun and Checkpoint.load(checkpoint).migrated_count >= BATCH:
            opened.connection.execute("PRAGMA max_page_count=1")  # SQLite takes the present size for it

    # Small batches: some are recorded before the last ones are stored.
    with pytest.raises(StorageFullError, match="No space left on device"):
        await migrate(tmp_path / "s.db", to, checkpoint, progress=Recorder(at=at), batch_size=BATCH // 4)
    half = Checkpoint.load(checkpoint).migrated_count
    assert BATCH <= half < COUNT - 1
    never_ahead(checkpoint, await content(sqlite_target(database)))

    await resumed(tmp_path, lambda: sqlite_target(database), checkpoint)
    assert await content(sqlite_target(database)) == expected
