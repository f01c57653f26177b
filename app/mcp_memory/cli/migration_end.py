"""How the commands of `memory migrate` stop and end: after a batch on a signal, with words, a resume line and an exit code."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from mcp_memory.cli import exits
from mcp_memory.domain.errors import MemoryServiceError, StorageError
from mcp_memory.migration.errors import MigrationRefusedError, MigrationStoppedError
from mcp_memory.migration.sources.base import SourceError
from mcp_memory.owner.lock import FileLock, Holder, read_holder

INTERRUPTED = 130


Outcome: TypeAlias = dict[str, Any]
"""What `--json` prints: filled by the work, or with `error`."""


def run_to_the_end(
    work: Coroutine[Any, Any, int], checkpoint: Path | None, resume: Sequence[str], outcome: Outcome
) -> int:
    """The exit code of the work: its own, 2 for what was refused, 130 when it was stopped.

    `resume` is the command that goes on, printed where there is a checkpoint to go on from. Two runs never share one.
    """
    try:
        with _only_run(checkpoint):
            return asyncio.run(work)
    except MigrationStoppedError as stopped:
        outcome["error"] = {"code": "stopped", "message": stopped.message, "resume": shlex.join([*resume, "--resume"])}
        print(f"{stopped.message} Nothing is lost.\n{resume_line(resume)}", file=sys.stderr)
        return INTERRUPTED
    except (MigrationRefusedError, SourceError) as error:
        outcome["error"] = failure(error)
        print(error.message, file=sys.stderr)
        return exits.USAGE
    except MemoryServiceError as error:
        # Once begun, there is something to go on from.
        begun = checkpoint is not None and checkpoint.exists()
        outcome["error"] = failure(error)
        print(exits.words(error) + (f"\n{resume_line(resume)}" if begun else ""), file=sys.stderr)
        return exits.exit_code(error)
    finally:
        work.close()


def failure(error: MemoryServiceError) -> dict[str, str]:
    """As every command gives an error with `--json`."""
    return {"code": error.code, "message": error.message}


@contextmanager
def _only_run(checkpoint: Path | None) -> Iterator[None]:
    """Nobody else goes on from this checkpoint meanwhile. Raises MigrationRefusedError where somebody does."""
    if checkpoint is None:
        yield
        return
    lock = FileLock(checkpoint.with_name(f".{checkpoint.name}.lock"))
    try:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        free = lock.try_acquire()
    except (OSError, StorageError) as error:
        raise MigrationRefusedError(
            f"The checkpoint {checkpoint} can't be written: {error}\nName another file with --checkpoint."
        ) from error
    if not free:
        holder = read_holder(lock.path)
        by = f"process {holder.pid} ({holder.command})" if holder is not None else "another process"
        raise MigrationRefusedError(
            f"A migration with the checkpoint {checkpoint} runs already: {by}.\n"
            "Wait for its end, or name another file with --checkpoint."
        )
    try:
        lock.describe(
            Holder(os.getpid(), "migration", shlex.join(sys.argv), datetime.now(UTC).isoformat("T", "seconds"))
        )
        yield
    finally:
        lock.remove()


def resume_line(command: Sequence[str]) -> str:
    return f"Resume with: {shlex.join([*command, '--resume'])}"


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """The first SIGINT or SIGTERM asks to stop after the batch; the next one ends the process as usual."""
    asked = False
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(_number: int, _frame: object) -> None:
        nonlocal asked
        asked = True
        print("Stopping after this batch ...", file=sys.stderr)
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        restore()
