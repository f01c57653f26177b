"""Bringing a source's memories into a target, from the first check to the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from mcp_memory.domain.query import EVERYTHING
from mcp_memory.embedding.base import Embedder
from mcp_memory.migration.catch_up import CatchUp
from mcp_memory.migration.checkpoint import Checkpoint, SourceMark
from mcp_memory.migration.copying import Copying
from mcp_memory.migration.errors import MigrationRefusedError
from mcp_memory.migration.origin import Origin, StorageOrigin, title
from mcp_memory.migration.plan import MigrationOptions, Validation, check_places, keeps_vectors
from mcp_memory.migration.progress import Progress, Step, whole_percent
from mcp_memory.migration.report import MigrationReport
from mcp_memory.migration.run import Run
from mcp_memory.migration.sources.base import SourceReport
from mcp_memory.migration.target import Target
from mcp_memory.storage.base import BaseStorage, UpsertMode


class Migration:
    """One run, fresh or resumed. The origin is open; the target's storage is opened and closed here."""

    def __init__(
        self,
        origin: Origin,
        target: Target,
        embedder: Embedder,
        options: MigrationOptions,
        progress: Progress,
        *,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._origin = origin
        self._target = target
        self._embedder = embedder
        self._options = options
        self._progress = progress
        self._stopping = stopping

    async def run(self) -> MigrationReport:
        """Raises MigrationRefusedError before anything is changed, MigrationStoppedError after a batch on request.

        Whatever else ends it (target gone, disk full, source changed) leaves a checkpoint that can be resumed.
        """
        check_places(self._origin.address, self._target.address)
        report = await self._origin.inspect()
        checkpoint = self._begin(report)
        if not checkpoint.reembed and not await keeps_vectors(self._origin, report, self._target, self._embedder):
            checkpoint.reembed = True
            self._progress.line(f"The vectors are not of {self._target.model.name}: every text is embedded anew")
        try:
            await self._target.storage.initialize()
            await self._check_target(checkpoint)
            return await self._run(report, Run(checkpoint, self._options.checkpoint, self._progress, self._stopping))
        finally:
            self._progress.step(Step.CLOSE)
            await self._target.storage.close()

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

    async def _run(self, report: SourceReport, run: Run) -> MigrationReport:
        run.begin()
        checkpoint = run.checkpoint
        copying = Copying(run, self._origin, self._target, self._embedder, self._options)
        verb = "Resuming" if self._options.resume else "Starting"
        self._progress.line(f"{verb} migration from {title(report)} to {self._target.engine}")
        copies = self._options.mode is UpsertMode.COPY
        copied_from = self._origin.storage if copies and isinstance(self._origin, StorageOrigin) else None
        try:
            if copied_from is not None and checkpoint.source_revision is None:
                checkpoint.source_revision = await _latest_revision(copied_from)
                run.save()
            if checkpoint.failed_hashes:
                await copying.retry()
            if not checkpoint.completed:
                await copying.copy()
            if copied_from is not None:
                await self._catch_up(run, copied_from)
        except BaseException:
            with suppress(OSError):  # the error that ends the run says more
                run.save_at_the_end()
            raise
        checkpoint.completed = True
        run.save()
        done = checkpoint.migrated_count == checkpoint.total_memories
        self._progress.line(
            f"Migration {'complete!' if done else 'incomplete:'} {checkpoint.migrated_count}/{checkpoint.total_memories} "
            f"({whole_percent(checkpoint.migrated_count, checkpoint.total_memories)})"
        )
        await self._conclude(run, copying)
        self._progress.step(Step.DONE)
        return self._report(report, run)

    async def _catch_up(self, run: Run, source: BaseStorage) -> None:
        """What was written to the source, or deleted from it, since it was read. What others wrote to the target stays."""
        catch_up = CatchUp(
            source,
            self._target.storage,
            self._embedder,
            run,
            batch_size=self._options.batch_size,
            reembed=run.checkpoint.reembed,
            copied_up_to=run.checkpoint.source_revision,
        )
        while await catch_up.round():
            pass

    async def _conclude(self, run: Run, copying: Copying) -> None:
        if self._options.validation is Validation.NONE:
            self._progress.line("Validation: skipped")
            return
        if self._options.validation is Validation.SAMPLE:
            await copying.validate_sample()
        verified = run.checkpoint.verified_count
        self._progress.line(f"Validation: {verified} memories verified, {run.validation_errors} errors")

    def _report(self, report: SourceReport, run: Run) -> MigrationReport:
        checkpoint = run.checkpoint
        return MigrationReport(
            source=report,
            target=self._target.address,
            model=self._target.model.name,
            total=checkpoint.total_memories,
            migrated=checkpoint.migrated_count,
            existed=checkpoint.existed_count,
            reembedded=checkpoint.reembedded_count,
            verified=checkpoint.verified_count,
            validation_errors=run.validation_errors,
            failures=run.failures,
            unreadable=run.unreadable,
            unreadable_count=checkpoint.unreadable_count,
            failed_count=len(checkpoint.failed_hashes),
            caught_up=checkpoint.caught_up_count,
            notes=Counter(checkpoint.notes),
            seconds=run.seconds,
            this_run=run.migrated,
            completed=checkpoint.completed,
        )


async def _latest_revision(storage: BaseStorage) -> int:
    """0 where nothing is stored."""
    latest = 0
    async for batch in storage.versions():
        latest = max(latest, *(version.revision for version in batch))
    return latest
