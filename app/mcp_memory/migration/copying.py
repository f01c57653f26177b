"""Copying a source into a target: batch by batch, each durable before it is recorded, checked as the options say."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from contextlib import aclosing, suppress

import numpy as np

from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.embedding.base import Embedder
from mcp_memory.migration.errors import MigrationStoppedError
from mcp_memory.migration.origin import Origin
from mcp_memory.migration.plan import MigrationOptions, Validation
from mcp_memory.migration.progress import Step
from mcp_memory.migration.run import Run
from mcp_memory.migration.sources.base import SourceBatch, SourceMemory
from mcp_memory.migration.target import Target
from mcp_memory.migration.transfer import Moved, embed, store
from mcp_memory.migration.validation import Failure, validate
from mcp_memory.storage.base import UpsertMode

PIPELINED = 6
"""Batches in work at a time, prepared, stored and compared side by side. With three, this process and the engine waited for each
other a fifth of the time (docs/benchmarks.md)."""


class _NotBegunError(Exception):
    """A stop was asked for before this batch, and every one behind it, had its turn."""


class Copying:
    """From an open origin into an open target."""

    def __init__(self, run: Run, origin: Origin, target: Target, embedder: Embedder, options: MigrationOptions) -> None:
        self._run = run
        self._origin = origin
        self._target = target
        self._embedder = embedder
        self._options = options
        self._checkpoint = run.checkpoint
        self._turn = asyncio.Lock()
        """Texts of one batch at a time are embedded."""
        self._ending = False
        """No further batch begins."""

    async def copy(self) -> None:
        """Everything behind the checkpoint's cursor."""
        run, checkpoint = self._run, self._checkpoint
        under_way: deque[tuple[SourceBatch, asyncio.Task[Moved]]] = deque()
        run.progress.step(Step.READ)
        try:
            async with aclosing(self._origin.batches(checkpoint.cursor, size=self._options.batch_size)) as batches:
                async for batch in batches:
                    under_way.append((batch, asyncio.create_task(self._move(batch.memories))))
                    if len(under_way) >= PIPELINED:
                        await self._finish(*under_way.popleft())
                        run.check_stop()
                    run.progress.step(Step.READ)
            while under_way:
                await self._finish(*under_way.popleft())
                run.check_stop()
        except MigrationStoppedError:
            self._ending = True
            with suppress(_NotBegunError):
                while under_way:  # what has been begun is brought to its end, so that resuming finds none of it
                    await self._finish(*under_way.popleft())
            run.check_stop()
        finally:
            for _, task in under_way:
                task.cancel()
            await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)

    async def _finish(self, batch: SourceBatch, moving: asyncio.Task[Moved]) -> None:
        run, checkpoint = self._run, self._checkpoint
        moved = await moving
        # What is recorded of a batch is recorded at once: an error behind this line loses nothing of it.
        run.record(moved)
        run.record_unreadable(batch.unreadable)
        checkpoint.count_notes(note.value for item in batch.memories for note in item.notes)
        checkpoint.cursor = batch.cursor
        run.tell(moved.failures)

    async def retry(self) -> None:
        """Store what failed before once more, replacing what may have been stored of it."""
        run, checkpoint = self._run, self._checkpoint
        wanted, checkpoint.failed_hashes = set(checkpoint.failed_hashes), []
        run.progress.step(Step.READ)
        origin = self._origin.batches(None, size=self._options.batch_size, until=checkpoint.cursor)
        try:
            async with aclosing(origin) as batches:
                async for batch in batches:
                    again = [item for item in batch.memories if item.memory.content_hash in wanted]
                    if again:
                        moved = await self._move(again, retried=True)
                        run.record(moved)
                        wanted -= {item.memory.content_hash for item in again}
                        run.tell(moved.failures)
                        run.check_stop()
                    if not wanted:
                        break
        finally:
            checkpoint.failed_hashes += sorted(wanted)

    async def _move(self, items: Sequence[SourceMemory], *, retried: bool = False) -> Moved:
        checkpoint = self._checkpoint
        mode = UpsertMode.REPLACE if retried and self._options.mode is UpsertMode.INSERT else self._options.mode
        async with self._turn:
            if self._ending:
                raise _NotBegunError
            ready = await embed(items, self._embedder, self._run.progress, reembed=checkpoint.reembed)
        moved = await store(ready, self._target.storage, self._run.progress, mode=mode)
        if self._options.validation is Validation.DURING:
            self._run.progress.step(Step.VALIDATE)
            # In a merge the target's own version of a memory may differ, and is kept.
            mine = moved.stored if checkpoint.merge and mode is UpsertMode.INSERT else moved.stored + moved.existed
            found = await validate(self._target.storage, mine)
            self._run.validation_errors += len(found)
            checkpoint.verified_count += len(mine) - len({failure.content_hash for failure in found})
            moved.failures += found
        return moved

    async def validate_sample(self) -> None:
        """Compare memories drawn at random over the whole source."""
        checkpoint = self._checkpoint
        total = max(0, checkpoint.total_memories - checkpoint.unreadable_count)
        drawn = set(random.sample(range(total), min(self._options.sample_size, total)))
        place = right = 0
        failed = set(checkpoint.failed_hashes)
        async with aclosing(self._origin.batches(None, size=self._options.batch_size)) as batches:
            async for batch in batches:
                chosen = [item for number, item in enumerate(batch.memories, start=place) if number in drawn]
                place += len(batch.memories)
                chosen = [item for item in chosen if item.memory.content_hash not in failed]
                if chosen:
                    self._run.progress.step(Step.VALIDATE)
                    found = await self._differences(chosen)
                    right += len(chosen) - len({failure.content_hash for failure in found})
        checkpoint.verified_count = right

    async def _differences(self, chosen: Sequence[SourceMemory]) -> list[Failure]:
        storage = self._target.storage
        there = await storage.get_embedded([item.memory.content_hash for item in chosen])
        expected = []
        for item in chosen:
            vector = item.vector
            if vector is None or self._checkpoint.reembed:  # made on the way: nothing in the source to compare it with
                found = there.get(item.memory.content_hash)
                vector = np.zeros(self._target.model.dimensions, np.float32) if found is None else found.vector
            expected.append(EmbeddedMemory(item.memory, vector))
        failures = await validate(storage, expected)
        self._run.validation_errors += len(failures)
        for failure in failures:
            self._run.failures.append(failure)
            self._run.progress.problem(str(failure))
        return failures
