"""The serving engine's side of a generation swap: start a builder, write down what changes meanwhile, hand over at the end.

Whatever dies, nothing acknowledged is lost: until the manifest names the new generation the old one is whole and goes on; from
the moment writes are held for the last round until then, none is acknowledged; afterwards only the new generation is written to.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import time
from collections.abc import Generator
from dataclasses import dataclass, field

import msgspec

from mcp_memory.domain.errors import MemoryServiceError, StorageBusyError, StorageError, StorageFullError
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.storage.analysis import VERSION as TERMS_VERSION
from mcp_memory.storage.qdrant_embedded import manifest as manifests
from mcp_memory.storage.qdrant_embedded.effort import describe, is_due, measure
from mcp_memory.storage.qdrant_embedded.framing import Connection
from mcp_memory.storage.qdrant_embedded.launch import describe_end, last_line, start_process
from mcp_memory.storage.qdrant_embedded.manifest import Quantization
from mcp_memory.storage.qdrant_embedded.options import encode_options
from mcp_memory.storage.qdrant_embedded.plan import Plan, next_generation
from mcp_memory.storage.qdrant_embedded.protocol import Done, Failure, HandOver, Ids, Response
from mcp_memory.storage.qdrant_embedded.scheduler import Scheduler
from mcp_memory.storage.qdrant_embedded.shard_config import BINARY, TURBO
from mcp_memory.storage.qdrant_embedded.space import check_space
from mcp_memory.storage.qdrant_embedded.store import OpenStore

log = logging.getLogger(__name__)

BUILDER = "mcp_memory.storage.qdrant_embedded.builder"
LOOK_SECONDS = 5.0
"""Between two looks whether a new generation would pay."""
RETRY_SECONDS = 600.0
"""After a build that failed."""


@dataclass(slots=True)
class Rebuild:
    """The state of building the next generation, if one is being built."""

    store: OpenStore
    scheduler: Scheduler
    plan: Plan | None = None
    child: subprocess.Popen[bytes] | None = None
    handed_over: bool = False
    """The manifest names the new generation: this engine must not write any more."""
    _waiting: list[tuple[Connection, int]] = field(default_factory=list)
    _measuring: Generator[None, None, tuple[Quantization, float]] | None = None
    _next_look: float = 0.0

    def propose(self) -> Plan | None:
        """What should be built now."""
        collection = self.store.collection
        return next_generation(
            self.store.manifest,
            count=collection.count(EVERYTHING),
            segments=collection.segments(),
            graph_threshold=self.store.options.graph_threshold,
            quantization=BINARY if self.store.options.quantization else TURBO,
        )

    def look(self) -> None:
        """Start what is due, notice a builder's end. Called on every turn of the loop; nearly always does nothing."""
        if self.child is not None:
            if self.child.returncode is not None and not self.handed_over:
                self._failed(describe_end(self.child.pid, self.child.returncode))
            return
        if self._measuring is not None:
            self._measure_on(self._measuring)
            return
        if self.handed_over or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        if self.store.read_only:
            return
        if not self.scheduler.writes:
            self.store.set_aside()
        plan = None if self.scheduler.paused_by is not None else self.propose()
        if plan is not None:
            try:
                self._start(plan)
            except MemoryServiceError as error:
                self._next_look = time.monotonic() + RETRY_SECONDS
                log.warning("not building generation %d (%s): %s", plan.generation, plan.reason, error)
        elif is_due(self.store.collection.quantization, self.store.collection.count(EVERYTHING)):
            self._measuring = measure(self.store.collection)

    def request(self, connection: Connection, number: int) -> Response | None:
        """A client asks for it and waits; None: answered later."""
        if self.store.read_only:
            self.store.check_space()
            raise StorageFullError(
                "This store was opened for reading: nothing is built. Free some space, then try again."
            )
        if self.child is None:
            plan = self.propose()
            if plan is None:
                self._measuring = self._measuring or measure(self.store.collection)
            else:
                self._measuring = None
                self._start(plan)
        self._waiting.append((connection, number))
        return None

    @property
    def measuring(self) -> bool:
        """A turn of the loop has something to do here."""
        return self._measuring is not None

    def _measure_on(self, job: Generator[None, None, tuple[Quantization, float]]) -> None:
        """One query of the measurement; at its end the effort is the collection's, and whoever asked is told."""
        try:
            next(job)
        except StopIteration as end:
            self._measuring = None
            effort, recall = end.value
            before, self.store.collection.quantization = self.store.collection.quantization, effort
            self.store.manifest = msgspec.structs.replace(self.store.manifest, quantization=effort)
            try:
                manifests.write(self.store.folder.path, self.store.manifest)
            except OSError as error:
                log.warning("the measured effort could not be written down, and is measured again: %s", error)
            changed = (before.oversampling, before.ef, before.exact) != (
                effort.oversampling,
                effort.ef,
                effort.exact,
            )
            count = self.store.collection.count(EVERYTHING)
            found = f"recall@10 {recall:.3f} with {describe(effort)}"
            message = (
                f"Searches look harder or less hard than before: {found}."
                if changed
                else f"Nothing to do: {count:,} memories are indexed as they should be, {found}."
            )
            self._tell(Done(changed=changed, message=message))
        except Exception as error:  # qdrant-edge raises bare Exception; whoever asked must hear
            self._measuring = None
            self._next_look = time.monotonic() + RETRY_SECONDS
            log.exception("measuring recall failed")
            self._tell(Failure(StorageError.code, f"Measuring recall failed: {error}"))

    def _start(self, plan: Plan) -> None:
        store = self.store
        size = store.folder.size(store.manifest.generation)
        check_space(store.folder.path, 2 * size + store.options.disk_reserve_bytes, "building a new generation")
        log.info("building generation %d: %s", plan.generation, plan.reason)
        store.collection.journal = set()
        arguments = [encode_options(store.options), msgspec.json.encode(plan).decode()]
        self.child = start_process(BUILDER, arguments, store.folder.log)
        self.plan = plan

    def _failed(self, reason: str) -> None:
        """Go on with the generation that is there."""
        plan, self.plan, self.child = self.plan, None, None
        self.store.collection.journal = None
        self.scheduler.held = False
        self._next_look = time.monotonic() + RETRY_SECONDS
        if plan is not None:
            shutil.rmtree(self.store.folder.generation(plan.generation), ignore_errors=True)
        message = (
            f"Building a new generation failed: {reason} ({last_line(self.store.folder.log)}). The old one goes on."
        )
        log.error("%s", message)
        self._tell(Failure(StorageError.code, message))

    def _tell(self, response: Response) -> None:
        waiting, self._waiting = self._waiting, []
        for connection, number in waiting:
            connection.answer(number, response)

    def stop(self) -> None:
        """End a builder that has nobody to build for."""
        if self.child is not None and not self.handed_over:
            self.child.kill()

    # The builder's requests

    def subscribe(self, connection: Connection, generation: int) -> Response:
        if self.plan is None or self.plan.generation != generation:
            raise StorageError(f"Nobody asked for generation {generation}.")
        connection.builder = True
        return Done()

    def take_journal(self, *, final: bool) -> Response:
        """What changed since the last time. `final`: no write begins any more, until the hand-over or the builder's end."""
        self.scheduler.held = final
        self.scheduler.commit()
        journal, self.store.collection.journal = self.store.collection.journal or set(), set()
        return Ids(sorted(journal), settled=self.scheduler.settled)

    def hand_over(self, request: HandOver) -> None:
        """Make the new generation the current one. Raises StorageError, and the old one goes on, where they don't agree."""
        count = self.store.collection.count(EVERYTHING)
        if self.scheduler.paused_by is not None:
            raise StorageBusyError("A backup is being made: this generation is built again later.")
        if not self.scheduler.settled or request.count != count:
            raise StorageError(
                f"generation {request.generation} has {request.count:,} memories, the serving one {count:,}"
            )
        manifest = msgspec.structs.replace(
            self.store.manifest,
            generation=request.generation,
            quantization=request.quantization,
            graph=request.graph,
            terms=TERMS_VERSION,
        )
        manifests.write(self.store.folder.path, manifest)
        self.handed_over = True
        reason = "" if self.plan is None else self.plan.reason
        log.info("generation %d takes over: %s", request.generation, reason)
        self._tell(Done(message=f"Generation {request.generation} serves: {reason}."))

    def builder_gone(self) -> None:
        """The builder's connection ended: writes that were held for it go on."""
        if not self.handed_over:
            self.scheduler.held = False
