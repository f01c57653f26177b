"""Whose turn it is inside the engine: reads and writes in slices, and one sync for all writes that arrived together."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from mcp_memory.domain.errors import MemoryServiceError, StorageError, StorageFullError
from mcp_memory.storage.qdrant_embedded.failures import to_failure
from mcp_memory.storage.qdrant_embedded.framing import Connection
from mcp_memory.storage.qdrant_embedded.jobs import Job
from mcp_memory.storage.qdrant_embedded.log_sync import can_sync_log, sync_files, sync_log
from mcp_memory.storage.qdrant_embedded.protocol import Response
from mcp_memory.storage.qdrant_embedded.store import OpenStore

log = logging.getLogger(__name__)

READ_BUDGET = WRITE_BUDGET = 0.008
"""Seconds spent on reads, then on writes, before the other side has its turn."""
FLUSH_POINTS = 2_048
"""Points written between two flushes at most. A flush holds up everybody: of 4,096 points for 50 to 75 ms
(docs/decisions/embedded-engine.md)."""
FLUSH_FROM = FLUSH_POINTS // 2
"""Points from which the next sync is of all files, with a flush behind it; writes go on meanwhile, up to FLUSH_POINTS."""
COMMIT_AFTER = 0.05
"""Seconds that a finished write waits for others to share its sync while more are under way."""
FLUSH_AFTER = 2.0
"""Seconds until what is durable in the log alone is flushed: bounds the log, and what the next load has to do."""


@dataclass(slots=True)
class Pending:
    """A request in work, and its answer once there is one."""

    connection: Connection
    number: int
    job: Job
    begun: bool = False
    deletes: bool = False
    """Goes on where the disk is full."""


@dataclass(slots=True)
class Finished:
    """A write that is applied but not yet durable: nobody has been told."""

    pending: Pending
    response: Response
    since: float


@dataclass(slots=True)
class Sync:
    """What the disk is asked for by a thread of its own: the engine answers reads meanwhile."""

    future: Future[None]
    covered: list[Finished]
    """Writes that are durable when it is done."""
    unflushed: int
    """The collection's when it began."""
    files: bool
    """Of all files, and a flush follows."""


@dataclass(slots=True)
class Scheduler:
    """Requests waiting for the one thread."""

    store: OpenStore
    wake: Callable[[], None] = lambda: None
    """Called from a thread when a sync has ended, so that a turn comes."""
    reads: deque[Pending] = field(default_factory=deque)
    writes: deque[Pending] = field(default_factory=deque)
    committing: list[Finished] = field(default_factory=list)
    held: bool = False
    """No further write begins (a new generation is about to take over); those under way and reads go on."""
    paused_by: Connection | None = None
    """As `held`, for a client that copies the files."""
    still: bool = False
    """It copies them now: not even a flush that is due changes one."""

    _sync: Sync | None = None
    _disk: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="sync"))
    _synced: int = 0
    """Of the collection's unflushed points those that are durable in the log."""
    _dirty_since: float = 0.0

    @property
    def size(self) -> int:
        covered = self._sync.covered if self._sync is not None else []
        return len(self.reads) + len(self.writes) + len(self.committing) + len(covered)

    @property
    def idle(self) -> bool:
        """Nothing can be done now, and nothing is waited for."""
        return not self.reads and not self.committing and self._sync is None and (self.settled or not self.writes)

    @property
    def syncing(self) -> bool:
        """Nothing can be done until the disk has done its part: `wake` tells."""
        sync = self._sync
        if sync is None or sync.future.done() or self.reads:
            return False
        return not self.writes or self.settled or self.store.collection.unflushed >= FLUSH_POINTS

    @property
    def holding(self) -> bool:
        return self.held or self.paused_by is not None

    @property
    def settled(self) -> bool:
        """Nothing is being written, and no write begins."""
        return self.holding and not any(item.begun for item in self.writes)

    def turn(self) -> None:
        """Some reads, some writes, and a flush where it is due: some 20 ms and the flush at most."""
        self._end_sync()
        self._run_reads()
        if not self.settled:
            self._run_writes()
        self._commit_when_due()

    def forget(self, connection: Connection) -> None:
        """Drop the reads of a client that is gone. Its writes go on: a slice of them may be in."""
        self.reads = deque(item for item in self.reads if item.connection is not connection)
        if self.paused_by is connection:
            self.go_on()

    def go_on(self) -> None:
        """The copy is made, or who made it is gone."""
        self.paused_by, self.still = None, False

    def _run_reads(self) -> None:
        deadline = time.monotonic() + READ_BUDGET
        while self.reads and time.monotonic() < deadline:
            item = self.reads.popleft()
            response = self._step(item)
            if response is None:
                self.reads.append(item)
            else:
                item.connection.answer(item.number, response)

    def _run_writes(self) -> None:
        if not self.writes:
            return
        try:
            self.store.check_space()
        except StorageFullError as error:
            deleting = any(item.deletes for item in self.writes) and self.store.room_to_delete()
            self.refuse_writes(to_failure(error), deletions_too=not deleting)
            if not self.writes:
                return
        deadline = time.monotonic() + WRITE_BUDGET
        while self.writes and time.monotonic() < deadline and self.store.collection.unflushed < FLUSH_POINTS:
            item = self.writes.popleft()
            if self.holding and not item.begun:
                self.writes.append(item)
                if self.settled:
                    return
                continue
            response = self._step(item)
            if response is None:
                self.writes.append(item)
            else:
                self.committing.append(Finished(item, response, time.monotonic()))

    def refuse_writes(self, response: Response, *, deletions_too: bool = True) -> None:
        """Answer every write that isn't finished."""
        waiting, self.writes = self.writes, deque()
        for item in waiting:
            if item.deletes and not deletions_too:
                self.writes.append(item)
            else:
                item.connection.answer(item.number, response)

    def refuse_all(self, response: Response) -> None:
        """Answer everything that waits, reads too."""
        self.refuse_writes(response)
        while self.reads:
            item = self.reads.popleft()
            item.connection.answer(item.number, response)

    def _commit_when_due(self) -> None:
        if self._sync is not None:
            return
        collection = self.store.collection
        waited = bool(self.committing) and time.monotonic() - self.committing[0].since >= COMMIT_AFTER
        if not self.writes or self.settled or waited or collection.unflushed >= FLUSH_POINTS:
            self._begin_sync()

    def commit(self) -> None:
        """Everything finished is durable and answered when this returns."""
        self._end_sync(wait=True)
        self._begin_sync()
        self._end_sync(wait=True)

    def _begin_sync(self) -> None:
        """Of what was written since the last one: the log alone, or all files where a flush is due. None under way."""
        unflushed, now = self.store.collection.unflushed, time.monotonic()
        if unflushed and not self._synced:
            self._dirty_since = now
        due = self._synced and now - self._dirty_since >= FLUSH_AFTER
        files = not self.still and unflushed > 0 and (unflushed >= FLUSH_FROM or due or not can_sync_log())
        finished, self.committing = self.committing, []
        if unflushed == self._synced and not files:
            self._answer(finished)
            return
        future = self._disk.submit(sync_files if files else sync_log, self.store.shard)
        self._sync = Sync(future, finished, unflushed, files)
        future.add_done_callback(lambda _: self.wake())

    def _end_sync(self, *, wait: bool = False) -> None:
        """Answer what the sync made durable, once it is done. Raises OSError where the disk fails."""
        sync = self._sync
        if sync is None or not (wait or sync.future.done()):
            return
        self._sync = None
        sync.future.result()
        if sync.files:
            self.store.collection.flush()
            self._synced = 0
            sync.covered += self.committing
            self.committing = []
        else:
            self._synced = sync.unflushed
        self._answer(sync.covered)

    def _answer(self, finished: list[Finished]) -> None:
        for item in finished:
            item.pending.connection.answer(item.pending.number, item.response)

    def _step(self, item: Pending) -> Response | None:
        """One slice; the answer when the job has ended."""
        item.begun = True
        try:
            next(item.job)
        except StopIteration as end:
            response: Response = end.value
            return response
        except MemoryServiceError as error:
            return to_failure(error)
        except Exception as error:  # qdrant-edge raises bare Exception; whatever it is, the client must hear
            log.exception("the engine failed a request")
            return to_failure(StorageError(f"The engine failed the request: {error}"))
        return None
