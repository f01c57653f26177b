"""A fault at every step of a model change, by exception and by kill -9: the old or the new model answers, --resume ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mcp_memory.domain.errors import ModelChangedError
from mcp_memory.domain.memory import Memory
from mcp_memory.migration import run as run_module
from mcp_memory.migration.progress import Step
from migration_world import Recorder
from model_change_world import NEW, OLD, STORES, Store, change, content, fill, server_store
from qdrant_backends import server_url

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
COUNT = 20
Memories = dict[str, Memory]


class FaultError(Exception):
    """What a test makes happen."""


async def memories(store: Store) -> tuple[str, Memories]:
    """Which model answers, and everything that it has."""
    try:
        return "old", {hash_: memory for hash_, (memory, _) in (await content(store, OLD.identity)).items()}
    except ModelChangedError:
        return "new", {hash_: memory for hash_, (memory, _) in (await content(store, NEW.identity)).items()}


async def goes_on(store: Store, checkpoint: Path, expected: Memories) -> str:
    """Whole at once, whichever model answers; new and whole after --resume. Which model answered first."""
    first, there = await memories(store)
    assert there == expected
    report = await change(store, checkpoint, resume=checkpoint.exists())  # noqa: ASYNC240
    assert report.memories == COUNT
    assert await memories(store) == ("new", expected)
    async with store.succession() as succession:
        assert [one.model for one in await succession.backups()] == [OLD.identity]
        assert not await succession.unfinished()
    return first


async def test_an_exception_at_any_step_leaves_the_old_or_the_new_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    whole = Recorder()
    await fill(server_store(tmp_path / "whole"), COUNT)
    await change(server_store(tmp_path / "whole"), tmp_path / "whole.json", progress=whole)
    assert set(whole.steps) == set(Step) - {Step.VALIDATE, Step.CLOSE}
    last = len(whole.steps) - 1
    # The first and the last time of each step.
    places = {whole.steps.index(step) for step in Step if step in whole.steps}
    places |= {last - whole.steps[::-1].index(step) for step in Step if step in whole.steps}
    answered: list[str] = []
    for place in sorted(places):
        store, checkpoint = server_store(tmp_path / str(place)), tmp_path / f"{place}.json"
        await fill(store, COUNT)
        expected = (await memories(store))[1]
        left = [place]

        def at(step: Step, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise FaultError(step)

        with pytest.raises(FaultError):
            await change(store, checkpoint, progress=Recorder(at=at))
        answered.append(await goes_on(store, checkpoint, expected))
    assert answered == sorted(answered, reverse=True), "the old model, and from one step on the new one"
    assert set(answered) == {"old", "new"}


RUN = textwrap.dedent(
    """
    import asyncio, os, shutil, signal, sys
    from pathlib import Path
    from mcp_memory.migration import run as run_module
    from mcp_memory.storage.qdrant_server.catalog import Catalog
    from migration_world import Recorder
    from model_change_world import STORES, change

    kind, where, number, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    run_module.SECONDS_BETWEEN_CHECKPOINTS = 0.0
    taking_over = False

    def die(place):
        global number
        if place == where and (taking_over or place in ("embedding", "storing")):
            number -= 1
            if number == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(owner, name, label):
        original = getattr(owner, name)
        if asyncio.iscoroutinefunction(original):
            async def changed(*args, **fields):
                die("before " + label)
                answer = await original(*args, **fields)
                die("after " + label)
                return answer
        else:
            def changed(*args, **fields):
                die("before " + label)
                answer = original(*args, **fields)
                die("after " + label)
                return answer
        setattr(owner, name, changed)

    around(Path, "replace", "manifest")
    around(Path, "rename", "move")
    around(shutil, "rmtree", "tidying")
    around(Catalog, "point_alias", "alias")
    around(Catalog, "remove_alias", "end")

    def step(at):
        global taking_over
        taking_over = taking_over or str(at) == "taking over"
        die(str(at))

    asyncio.run(change(STORES[kind](folder / "store"), folder / "c.json", progress=Recorder(at=step)))
    """
)
PLACES = [
    ("embedded", "storing", 2, "old"),
    ("embedded", "taking over", 1, "old"),
    ("embedded", "before manifest", 1, "old"),
    ("embedded", "after manifest", 1, "new"),
    ("embedded", "after move", 1, "new"),
    ("embedded", "after tidying", 1, "new"),
    ("server", "embedding", 2, "old"),
    ("server", "before alias", 1, "old"),
    ("server", "after alias", 1, "old"),
    ("server", "after alias", 2, "new"),
    ("server", "before end", 1, "new"),
    ("server", "catching up", 1, "new"),
]


@pytest.mark.parametrize(("kind", "where", "number", "answers"), PLACES)
async def test_kill_9_at_any_place_leaves_the_old_or_the_new_model(
    tmp_path: Path, kind: str, where: str, number: int, answers: str
) -> None:
    store = STORES[kind](tmp_path / "store")
    await fill(store, COUNT)
    expected = (await memories(store))[1]
    environment = dict(os.environ)
    if kind == "server":
        environment["QDRANT_TEST_URL"] = server_url()
    tests = Path(__file__).parents[1]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", RUN, kind, where, str(number), str(tmp_path)],
        env=environment | {"PYTHONPATH": str(tests)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert await goes_on(store, tmp_path / "c.json", expected) == answers
