"""Bringing a source's memories into a target: batch by batch, each durable before it is recorded."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress

import numpy as np

from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.embedding.base import Embedder
from mcp_memory.migration.checkpoint import Checkpoint, SourceMark
from mcp_memory.migration.errors import MigrationRefusedError, MigrationStoppedError
from mcp_memory.migration.plan import MigrationOptions, Validation, check_model, check_places
from mcp_memory.migration.progress import Progress, Step
from mcp_memory.migration.report import SOURCE_NAMES, MigrationReport
from mcp_memory.migration.sources.base import Source, SourceBatch, SourceMemory, SourceReport
from mcp_memory.migration.target import Target
from mcp_memory.migration.transfer import Moved, move
from mcp_memory.migration.validation import Failure, validate
from mcp_memory.storage.base import UpsertMode

SECONDS_BETWEEN_CHECKPOINTS = 1.0
"""What a crash makes the next run do again; writes are idempotent, so that is only time."""


class Migration:
    """One run, fresh or resumed. The source is open; the target's storage is opened and closed here."""

    def __init__(
        self,
        source: Source,
        target: Target,
        embedder: Embedder,
        options: MigrationOptions,
        progress: Progress,
        *,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._source = source
        self._target = target
        self._embedder = embedder
        self._options = options
        self._progress = progress
        self._stopping = stopping
        self._failures: list[Failure] = []
        self._unreadable: dict[str, str] = {}
        self._validation_errors = 0
        self._started = time.perf_counter()
        self._begun_at = 0
        self._saved_at = 0.0

    async def run(self) -> MigrationReport:
        """Raises MigrationRefusedError before anything is changed, MigrationStoppedError after a batch on request.

        Whatever else ends it (target gone, disk full, source changed) leaves a checkpoint that can be resumed.
        """
        check_places(self._source.path, self._target.address)
        report = await asyncio.to_thread(self._source.inspect)
        checkpoint = self._begin(report)
        if not checkpoint.reembed:
            await check_model(self._source, report, self._target, self._embedder)
        try:
            await self._target.storage.initialize()
            await self._check_target(checkpoint)
            return await self._run(report, checkpoint)
        finally:
            self._progress.step(Step.CLOSE)
            await self._target.storage.close()

    # Before

    def _begin(self, report: SourceReport) -> Checkpoint:
        source, target = SourceMark.of(report), self._target.mark
        if not self._options.resume:
            return Checkpoint.begin(
                source, target, report.live, reembed=self._options.reembed, merge=self._options.merge
            )
        checkpoint = Checkpoint.load(self._options.checkpoint)
        checkpoint.check(self._options.checkpoint, source, target)
        if self._options.reembed and not checkpoint.reembed:
            raise MigrationRefusedError(
                "The interrupted run kept the source's vectors, this one asks for --reembed. Resume without it, or start again "
                "with an empty target."
            )
        return checkpoint

    async def _check_target(self, checkpoint: Checkpoint) -> None:
        held = await self._target.storage.count(EVERYTHING)
        if held and not (self._options.resume or self._options.merge):
            raise MigrationRefusedError(
                f"The target {self._target.address} holds {held:,} memories already.\n"
                "  --resume  goes on with a migration that was interrupted (with its --checkpoint)\n"
                "  --merge   adds to them; memories of the same hash are kept as the target has them"
            )
        ours = checkpoint.migrated_count - checkpoint.existed_count
        if self._options.resume and held < ours:
            raise MigrationRefusedError(
                f"The checkpoint {self._options.checkpoint} says that {ours:,} memories were stored in "
                f"{self._target.address}, which holds {held:,}: it was emptied or changed since. Start again without --resume"
                + (" and with --merge." if held else ".")
            )

    # The run

    async def _run(self, report: SourceReport, checkpoint: Checkpoint) -> MigrationReport:
        self._save_first(checkpoint)
        verb = "Resuming" if self._options.resume else "Starting"
        self._progress.line(f"{verb} migration from {SOURCE_NAMES[report.kind]} to {self._target.engine}")
        self._started = time.perf_counter()
        self._begun_at = checkpoint.migrated_count
        try:
            if checkpoint.failed_hashes:
                await self._retry(checkpoint)
            if not checkpoint.completed:
                await self._copy(checkpoint)
        except BaseException:
            with suppress(OSError):  # the error that ends the run says more
                checkpoint.save(self._options.checkpoint)
            raise
        checkpoint.completed = True
        self._save(checkpoint)
        self._progress.line(
            f"Migration complete! {checkpoint.migrated_count}/{checkpoint.total_memories} "
            f"({_whole_percent(checkpoint.migrated_count, checkpoint.total_memories)})"
        )
        await self._conclude(checkpoint)
        self._progress.step(Step.DONE)
        return self._report(report, checkpoint)

    def _save_first(self, checkpoint: Checkpoint) -> None:
        """Before anything is moved: a checkpoint that can't be written is better known now."""
        try:
            self._save(checkpoint)
        except OSError as error:
            raise MigrationRefusedError(
                f"The checkpoint {self._options.checkpoint} can't be written: {error.strerror or error}. Name another file "
                "with --checkpoint."
            ) from error

    async def _copy(self, checkpoint: Checkpoint) -> None:
        async with aclosing(self._batches(checkpoint.cursor)) as batches:
            async for batch in batches:
                moved = await self._move(batch.memories, checkpoint)
                # What is recorded of a batch is recorded at once: an error behind this line loses nothing of it.
                self._record(moved, checkpoint)
                checkpoint.unreadable_count += len(batch.unreadable)
                checkpoint.count_notes(note.value for item in batch.memories for note in item.notes)
                checkpoint.cursor = batch.cursor
                self._unreadable |= {row.content_hash or f"row {row.cursor}": row.reason for row in batch.unreadable}
                self._tell(moved, checkpoint)

    async def _retry(self, checkpoint: Checkpoint) -> None:
        """Store what failed before once more, replacing what may have been stored of it."""
        wanted, checkpoint.failed_hashes = set(checkpoint.failed_hashes), []
        try:
            async with aclosing(self._batches(0, until=checkpoint.cursor)) as batches:
                async for batch in batches:
                    again = [item for item in batch.memories if item.memory.content_hash in wanted]
                    if again:
                        moved = await self._move(again, checkpoint, mode=UpsertMode.REPLACE)
                        self._record(moved, checkpoint)
                        wanted -= {item.memory.content_hash for item in again}
                        self._tell(moved, checkpoint)
                    if not wanted:
                        break
        finally:
            checkpoint.failed_hashes += sorted(wanted)

    async def _move(
        self, items: Sequence[SourceMemory], checkpoint: Checkpoint, mode: UpsertMode = UpsertMode.INSERT
    ) -> Moved:
        storage = self._target.storage
        moved = await move(items, storage, self._embedder, self._progress, reembed=checkpoint.reembed, mode=mode)
        if self._options.validation is Validation.DURING:
            self._progress.step(Step.VALIDATE)
            # In a merge the target's own version of a memory may differ, and is kept.
            mine = moved.stored if checkpoint.merge and mode is UpsertMode.INSERT else moved.stored + moved.existed
            found = await validate(storage, mine)
            self._validation_errors += len(found)
            checkpoint.verified_count += len(mine) - len({failure.content_hash for failure in found})
            moved.failures += found
        return moved

    def _record(self, moved: Moved, checkpoint: Checkpoint) -> None:
        failed = dict.fromkeys(failure.content_hash for failure in moved.failures)
        good = [item.memory.content_hash for item in moved.stored + moved.existed]
        good = [hash_ for hash_ in good if hash_ not in failed]
        checkpoint.migrated_count += len(good)
        checkpoint.existed_count += sum(item.memory.content_hash not in failed for item in moved.existed)
        checkpoint.reembedded_count += moved.reembedded
        checkpoint.failed_hashes += failed
        if good:
            checkpoint.last_successful_hash = good[-1]
        self._failures += moved.failures

    def _tell(self, moved: Moved, checkpoint: Checkpoint) -> None:
        for failure in moved.failures:
            self._progress.problem(str(failure))
        if time.perf_counter() - self._saved_at > SECONDS_BETWEEN_CHECKPOINTS:
            self._save(checkpoint)
        done = max(1, checkpoint.migrated_count - self._begun_at)
        milliseconds = (time.perf_counter() - self._started) * 1000 / done
        self._progress.advance(checkpoint.done, checkpoint.total_memories, milliseconds)
        if self._stopping():
            raise MigrationStoppedError(f"Stopped after {checkpoint.done:,} of {checkpoint.total_memories:,} memories.")

    def _save(self, checkpoint: Checkpoint) -> None:
        self._progress.step(Step.CHECKPOINT)
        checkpoint.save(self._options.checkpoint)
        self._saved_at = time.perf_counter()

    async def _batches(self, after: int, until: int | None = None) -> AsyncGenerator[SourceBatch]:
        """Read one batch ahead, in a thread, while the one before is stored."""
        batches = self._source.read(after=after, batch_size=self._options.batch_size)
        self._progress.step(Step.READ)
        coming = asyncio.create_task(asyncio.to_thread(next, batches, None))
        try:
            while (batch := await coming) is not None:
                coming = asyncio.create_task(asyncio.to_thread(next, batches, None))
                yield batch
                if until is not None and batch.cursor >= until:
                    return
                self._progress.step(Step.READ)
        finally:
            # The thread must be done with the source before it can be closed.
            await asyncio.wait([coming])
            if not coming.cancelled():
                coming.exception()

    # After

    async def _conclude(self, checkpoint: Checkpoint) -> None:
        match self._options.validation:
            case Validation.NONE:
                self._progress.line("Validation: skipped")
                return
            case Validation.SAMPLE:
                verified = await self._validate_sample(checkpoint)
            case Validation.DURING:
                verified = checkpoint.verified_count
        self._progress.line(f"Validation: {verified} memories verified, {self._validation_errors} errors")

    async def _validate_sample(self, checkpoint: Checkpoint) -> int:
        """Compare memories drawn at random over the whole source; the number of those that are right."""
        total = max(0, checkpoint.total_memories - checkpoint.unreadable_count)
        drawn = set(random.sample(range(total), min(self._options.sample_size, total)))
        place = right = 0
        failed = set(checkpoint.failed_hashes)
        async with aclosing(self._batches(0)) as batches:
            async for batch in batches:
                chosen = [item for number, item in enumerate(batch.memories, start=place) if number in drawn]
                place += len(batch.memories)
                chosen = [item for item in chosen if item.memory.content_hash not in failed]
                if chosen:
                    self._progress.step(Step.VALIDATE)
                    found = await self._differences(chosen, checkpoint)
                    right += len(chosen) - len({failure.content_hash for failure in found})
        checkpoint.verified_count = right
        return right

    async def _differences(self, chosen: Sequence[SourceMemory], checkpoint: Checkpoint) -> list[Failure]:
        storage = self._target.storage
        there = await storage.get_embedded([item.memory.content_hash for item in chosen])
        expected = []
        for item in chosen:
            vector = item.vector
            if vector is None or checkpoint.reembed:  # made on the way: nothing in the source to compare it with
                found = there.get(item.memory.content_hash)
                vector = np.zeros(self._target.model.dimensions, np.float32) if found is None else found.vector
            expected.append(EmbeddedMemory(item.memory, vector))
        failures = await validate(storage, expected)
        self._validation_errors += len(failures)
        for failure in failures:
            self._failures.append(failure)
            self._progress.problem(str(failure))
        return failures

    def _report(self, report: SourceReport, checkpoint: Checkpoint) -> MigrationReport:
        return MigrationReport(
            source=report,
            target=self._target.address,
            model=self._target.model.name,
            total=checkpoint.total_memories,
            migrated=checkpoint.migrated_count,
            existed=checkpoint.existed_count,
            reembedded=checkpoint.reembedded_count,
            verified=checkpoint.verified_count,
            validation_errors=self._validation_errors,
            failures=self._failures,
            unreadable=self._unreadable,
            unreadable_count=checkpoint.unreadable_count,
            failed_count=len(checkpoint.failed_hashes),
            notes=Counter(checkpoint.notes),
            seconds=time.perf_counter() - self._started,
            this_run=checkpoint.migrated_count - self._begun_at,
            completed=checkpoint.completed,
        )


def _whole_percent(done: int, total: int) -> str:
    share = 100 * done / total if total else 100.0
    return f"{share:.0f}%" if share == int(share) else f"{share:.2f}%"
