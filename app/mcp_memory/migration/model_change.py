"""Another embedding model for the memories of a store: a new collection filled beside the one that answers, then in its place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_memory.domain.model import ModelIdentity
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.embedding.base import Embedder
from mcp_memory.migration.catch_up import CatchUp, Settling
from mcp_memory.migration.checkpoint import ModelChangeMark, Phase
from mcp_memory.migration.copied import Copied, write_copied
from mcp_memory.migration.differences import differences
from mcp_memory.migration.errors import MigrationFailedError, MigrationRefusedError
from mcp_memory.migration.model_change_plan import ModelChangeOptions, begin
from mcp_memory.migration.progress import Progress, Step, whole_percent
from mcp_memory.migration.run import Run
from mcp_memory.migration.validation import Failure
from mcp_memory.storage.base import BaseStorage, opened
from mcp_memory.storage.succession import (
    StoredCollection,
    Succession,
    SupportsConditionalWrites,
    backup_name,
    backup_prefix,
    new_name,
)

FEW = 20
"""Differences from which the next round is left to the moment of taking over."""
ROUNDS = 20
"""At most this many rounds: where more is written than can be embedded, they would never end."""
PAUSE = 0.25

Alone = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class ModelChangeReport:
    address: str
    old: ModelIdentity
    new: ModelIdentity
    memories: int
    caught_up: int
    backup: str | None
    """The old collection; None where it was deleted."""


class ModelChange:
    """One run, fresh or resumed. The succession is open."""

    def __init__(
        self,
        succession: Succession,
        embedder: Embedder,
        options: ModelChangeOptions,
        progress: Progress,
        *,
        alone: Alone,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """`alone` is entered for taking over: nobody else has an embedded store open meanwhile."""
        self._succession = succession
        self._embedder = embedder
        self._options = options
        self._progress = progress
        self._alone = alone
        self._stopping = stopping

    async def run(self) -> ModelChangeReport:
        """Raises MigrationRefusedError before anything is changed, MigrationStoppedError after a batch on request, and
        MigrationFailedError where memories couldn't be embedded: the old collection answers then.

        Whatever ends it, exactly one collection answers, whole, and --resume goes on.
        """
        present = await self._succession.present()
        checkpoint = await begin(self._succession, present, self._embedder.identity, self._options)
        run = Run(checkpoint, self._options.checkpoint, self._progress, self._stopping)
        run.begin()
        try:
            report = await self._run(run, present)
        except BaseException:
            with suppress(OSError):  # the error that ends the run says more
                run.save_at_the_end()
            raise
        self._progress.step(Step.DONE)
        return report

    async def _run(self, run: Run, present: StoredCollection) -> ModelChangeReport:
        mark = _mark(run)
        if mark.phase in {Phase.FILLING, Phase.TAKING_OVER} and not self._answers(present):
            new = await self._fill(run, present)
            before = await self._take_over(run, present, new)
        elif mark.phase is Phase.TAKING_OVER:
            async with self._alone():
                before = await self._repoint(run, self._new(mark))
        else:
            before = None
        if mark.phase is Phase.TAKING_OVER:
            mark.phase = Phase.SETTLING
            run.save()
        if mark.phase is Phase.SETTLING:
            before = before or await self._backup(mark)
            await self._settle(run, before)
            mark.phase = Phase.DONE
            run.checkpoint.completed = True
            run.save()
            self._copied.unlink(missing_ok=True)
        answering = await self._succession.present()
        storage = self._succession.storage(answering)
        async with opened(storage):
            memories = await storage.count(EVERYTHING)
        backup = mark.backup if self._options.keep_backup else None
        old = before.model if before is not None else ModelIdentity(mark.old_model, 0, mark.old_fingerprint)
        return ModelChangeReport(
            self._succession.address, old, answering.model, memories, run.checkpoint.caught_up_count, backup
        )

    def _answers(self, present: StoredCollection) -> bool:
        return present.model.fingerprint == self._embedder.identity.fingerprint

    def _new(self, mark: ModelChangeMark) -> StoredCollection:
        """The collection of a run that was cut off. Raises MigrationRefusedError where its checkpoint names another."""
        name = self._succession.name
        ours = mark.new_collection == new_name(name, self._embedder.identity)
        if not (ours and mark.new_place and mark.backup.startswith(backup_prefix(name))):
            raise MigrationRefusedError(
                f"The checkpoint {self._options.checkpoint} names collections that a change to {self._embedder.identity.name} "
                f"doesn't make: '{mark.new_collection}', '{mark.backup}'. Nothing was changed.\nStart again without --resume."
            )
        return StoredCollection(mark.new_collection, self._embedder.identity, mark.new_place)

    async def _backup(self, mark: ModelChangeMark) -> StoredCollection | None:
        """None where it has been deleted already."""
        return next((one for one in await self._succession.backups() if one.name == mark.backup), None)

    async def _fill(self, run: Run, present: StoredCollection) -> StoredCollection:
        mark, checkpoint = _mark(run), run.checkpoint
        mark.phase = Phase.FILLING
        dimensions = self._embedder.identity.dimensions
        verb = "Going on with the" if self._options.resume else "Creating"
        self._progress.line(f"{verb} new collection with {dimensions}-dim vectors")
        new = await self._succession.begin(self._embedder.identity, memories=checkpoint.total_memories)
        mark.new_collection, mark.new_place = new.name, new.place
        async with self._both(present, new) as (old_storage, new_storage):
            checkpoint.failed_hashes = []
            if self._options.resume:
                checkpoint.total_memories = await old_storage.count(EVERYTHING)
                checkpoint.migrated_count = await new_storage.count(EVERYTHING)
                run.start_over()
            run.save()
            catch_up = CatchUp(old_storage, new_storage, self._embedder, run, batch_size=self._options.batch_size)
            await catch_up.round(filling=True)
            self._check_failures(run)
            for _ in range(ROUNDS):
                if await catch_up.round() <= FEW:
                    break
            self._check_failures(run)
        done = checkpoint.migrated_count
        self._progress.line(
            f"Re-embedding complete! {done}/{checkpoint.total_memories} ({whole_percent(done, checkpoint.total_memories)})"
        )
        return new

    async def _take_over(self, run: Run, present: StoredCollection, new: StoredCollection) -> StoredCollection:
        """The new collection answers when this returns. Until its one decisive step the old one does."""
        mark = _mark(run)
        # A run that was cut off may have given the old collection its name already.
        mark.backup = mark.backup or backup_name(self._succession.name, present.model, datetime.now(UTC))
        async with self._alone():
            async with self._both(present, new) as (old_storage, new_storage):
                catch_up = CatchUp(old_storage, new_storage, self._embedder, run, batch_size=self._options.batch_size)
                enough = FEW if self._succession.shared else 0
                for _ in range(ROUNDS):  # what a busy server keeps writing is brought over after the swap
                    if await catch_up.round() <= enough:
                        break
                self._check_failures(run)
                if self._succession.shared:
                    await write_copied(self._copied, new_storage)
                else:
                    await self._verify(old_storage, new_storage)
            mark.phase = Phase.TAKING_OVER
            run.save()
            kept = mark.backup if self._options.keep_backup else "(deleted)"
            self._progress.line(
                f"Swapping collections: {self._succession.name} → {kept}, {new.name} → {self._succession.name}"
            )
            return await self._repoint(run, new)

    async def _repoint(self, run: Run, new: StoredCollection) -> StoredCollection:
        self._progress.step(Step.TAKE_OVER)
        before = await self._succession.take_over(new, backup=_mark(run).backup)
        if not self._succession.shared and not self._options.keep_backup:
            await self._succession.delete(before)
        return before

    async def _verify(self, old: BaseStorage, new: BaseStorage) -> None:
        """Nobody else writes: both hold the same hashes, each with the same revision."""
        async for one in differences(old, new):
            either = one.old or one.new
            name = either.content_hash if either is not None else ""
            raise MigrationFailedError(
                f"The new collection differs from the old one at {name}; the old one goes on answering.\n"
                "Run this again with --resume: it compares both anew."
            )

    async def _settle(self, run: Run, before: StoredCollection | None) -> None:
        """Bring over what reached the old collection at the last moment, until no such write can be under way any more."""
        self._progress.step(Step.SETTLE)
        if not self._succession.shared or before is None:
            return
        writes = self._succession
        assert isinstance(writes, SupportsConditionalWrites)  # noqa: S101 - a shared succession is one
        answering = await self._succession.present()
        until = time.monotonic() + self._options.settle_seconds
        async with self._both(before, answering) as (old_storage, new_storage):
            settling = Settling(
                old_storage,
                new_storage,
                self._embedder,
                run,
                writes=writes,
                collection=answering,
                copied=Copied(self._copied),
            )
            while True:
                last = time.monotonic() >= until
                changed = await settling.round()
                run.checkpoint.caught_up_count += changed
                if last and not changed:
                    break
                if not changed:
                    await asyncio.sleep(PAUSE)  # a write that is under way elsewhere tells nobody
        if not self._options.keep_backup:
            await self._succession.delete(before)

    @property
    def _copied(self) -> Path:
        return self._options.checkpoint.with_name(f"{self._options.checkpoint.name}.copied")

    @asynccontextmanager
    async def _both(
        self, old: StoredCollection, new: StoredCollection
    ) -> AsyncIterator[tuple[BaseStorage, BaseStorage]]:
        one, other = self._succession.storage(old), self._succession.storage(new)
        async with opened(one), opened(other):
            yield one, other

    def _check_failures(self, run: Run) -> None:
        failed = run.checkpoint.failed_hashes
        if failed:
            raise MigrationFailedError(
                f"{len(failed):,} memories could not be embedded, so the old collection goes on answering.\n"
                f"First: {_first(run.failures, failed)}\nRun this again with --resume to try them again."
            )


def _mark(run: Run) -> ModelChangeMark:
    mark = run.checkpoint.model_change
    assert mark is not None  # noqa: S101 - `begin` has made sure
    return mark


def _first(failures: list[Failure], failed: list[str]) -> str:
    return str(failures[0]) if failures else failed[0]
