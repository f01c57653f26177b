"""What a run has done so far: counted, told, and recorded in the checkpoint; the same for every kind of migration."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from mcp_memory.migration.checkpoint import Checkpoint
from mcp_memory.migration.errors import MigrationRefusedError, MigrationStoppedError
from mcp_memory.migration.progress import Progress, Step
from mcp_memory.migration.sources.base import Unreadable
from mcp_memory.migration.transfer import Moved
from mcp_memory.migration.validation import Failure

SECONDS_BETWEEN_CHECKPOINTS = 1.0
"""What a crash makes the next run do again; writes are idempotent, so that is only time."""


class Run:
    """One run with its checkpoint, fresh or resumed."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        path: Path,
        progress: Progress,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.checkpoint = checkpoint
        self.progress = progress
        self.failures: list[Failure] = []
        self.unreadable: dict[str, str] = {}
        self.validation_errors = 0
        self._path = path
        self._stopping = stopping
        self._started = time.perf_counter()
        self._begun_at = checkpoint.migrated_count
        self._saved_at = 0.0
        self._stopped = False

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started

    @property
    def migrated(self) -> int:
        """Of this run alone."""
        return self.checkpoint.migrated_count - self._begun_at

    def begin(self) -> None:
        """Write the checkpoint before anything is moved: one that can't be written is better known now.

        Raises MigrationRefusedError.
        """
        try:
            self.save()
        except OSError as error:
            raise MigrationRefusedError(
                f"The checkpoint {self._path} can't be written: {error.strerror or error}. Name another file with --checkpoint."
            ) from error
        self._started = time.perf_counter()

    def start_over(self) -> None:
        """What is in the target has just been counted: rates are of this run."""
        self._begun_at = self.checkpoint.migrated_count
        self._started = time.perf_counter()

    def save(self) -> None:
        self.progress.step(Step.CHECKPOINT)
        self.checkpoint.save(self._path)
        self._saved_at = time.perf_counter()

    def save_at_the_end(self) -> None:
        """Of a run that an error ends; no step of its own."""
        self.checkpoint.save(self._path)

    def record(self, moved: Moved) -> None:
        """Count what became of a batch."""
        checkpoint = self.checkpoint
        failed = dict.fromkeys(failure.content_hash for failure in moved.failures)
        good = [item.memory.content_hash for item in moved.stored + moved.existed]
        good = [hash_ for hash_ in good if hash_ not in failed]
        checkpoint.migrated_count += len(good)
        checkpoint.existed_count += sum(item.memory.content_hash not in failed for item in moved.existed)
        checkpoint.reembedded_count += moved.reembedded
        checkpoint.failed_hashes += failed
        if good:
            checkpoint.last_successful_hash = good[-1]
        self.failures += moved.failures

    def record_more(self, moved: Moved) -> None:
        """Of what was written while the migration ran: it is no part of the total that was announced."""
        self.checkpoint.caught_up_count += len(moved.stored) + len(moved.existed)
        self.checkpoint.failed_hashes += dict.fromkeys(failure.content_hash for failure in moved.failures)
        self.failures += moved.failures

    def record_unreadable(self, rows: tuple[Unreadable, ...]) -> None:
        self.checkpoint.unreadable_count += len(rows)
        self.unreadable |= {row.content_hash or f"row {row.cursor}": row.reason for row in rows}

    def tell(self, failures: list[Failure]) -> None:
        """Problems and progress; the checkpoint where it is due."""
        checkpoint = self.checkpoint
        for failure in failures:
            self.progress.problem(str(failure))
        if time.perf_counter() - self._saved_at > SECONDS_BETWEEN_CHECKPOINTS:
            self.save()
        milliseconds = self.seconds * 1000 / max(1, self.migrated)
        self.progress.advance(checkpoint.done, checkpoint.total_memories, milliseconds)

    def check_stop(self) -> None:
        """Raises MigrationStoppedError where a stop was asked for."""
        self._stopped = self._stopped or self._stopping()
        if self._stopped:
            done, total = self.checkpoint.done, self.checkpoint.total_memories
            raise MigrationStoppedError(f"Stopped after {done:,} of {total:,} memories.")
