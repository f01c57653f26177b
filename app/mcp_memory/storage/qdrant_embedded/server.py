"""The engine's sockets and its loop: one thread that answers all clients, and ends when nobody is left."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import time
from contextlib import suppress

from mcp_memory.domain.errors import MemoryServiceError, ModelChangedError, StorageBusyError, StorageError
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.storage.qdrant_embedded.failures import to_failure
from mcp_memory.storage.qdrant_embedded.framing import Connection, ProtocolError
from mcp_memory.storage.qdrant_embedded.jobs import begin
from mcp_memory.storage.qdrant_embedded.lock import FolderLock
from mcp_memory.storage.qdrant_embedded.protocol import (
    VERSION,
    BuilderRequest,
    BuildGeneration,
    Delete,
    DeleteMatching,
    Done,
    HandOver,
    Hello,
    Leave,
    Moved,
    Pause,
    Paused,
    Request,
    Response,
    Resume,
    Stats,
    Subscribe,
    TakeJournal,
    Update,
    Upsert,
    Welcome,
)
from mcp_memory.storage.qdrant_embedded.rebuild import LOOK_SECONDS, Rebuild
from mcp_memory.storage.qdrant_embedded.scheduler import Pending, Scheduler
from mcp_memory.storage.qdrant_embedded.store import OpenStore

log = logging.getLogger(__name__)

AF_UNIX = getattr(socket, "AF_UNIX", None)

IDLE_SECONDS = 1.0
"""Without a client for this long, the engine ends: a killed service never leaves it behind."""
FIRST_CLIENT_SECONDS = 20.0
QUEUE_LIMIT = 4_096
MEASURING_SECONDS = 0.01
"""Between two queries of a measurement of recall: others come first, and have the other half of the time."""
BUILDING_SECONDS = 0.5
"""Between two looks at a builder that may have died."""


class EngineServer:
    """Serves one open store (or the reason why it can't be opened) until told to stop, or left alone."""

    def __init__(
        self, listener: socket.socket, lock: FolderLock, token: str, opened: OpenStore | MemoryServiceError
    ) -> None:
        self._listener = listener
        self._lock = lock
        self._token = token
        self._opened = opened
        self._scheduler = Scheduler(opened, self._wake) if isinstance(opened, OpenStore) else None
        self._rebuild = (
            Rebuild(opened, self._scheduler) if isinstance(opened, OpenStore) and self._scheduler is not None else None
        )
        self._selector = selectors.DefaultSelector()
        self._connections: set[Connection] = set()
        self._alone_since = time.monotonic() + FIRST_CLIENT_SECONDS
        self._stopping = False
        self._pausing: tuple[Connection, int] | None = None
        """Who waits for the files to stand still."""
        self._wake_read, self._wake_write = socket.socketpair()

    def run(self) -> None:
        """Serve until the end; everything accepted is finished, durable and answered when this returns."""
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        while not self._over():
            self._wait(self._patience())
            if self._scheduler is not None:
                self._scheduler.turn()
            if self._rebuild is not None:
                self._rebuild.look()
            self._answer_pause()
            self._send_all()
        if self._rebuild is not None:
            self._rebuild.stop()
        self._say_goodbye()
        signal.set_wakeup_fd(-1)

    @property
    def handed_over(self) -> bool:
        """A successor serves the folder now; nothing of it may be touched any more."""
        return self._rebuild is not None and self._rebuild.handed_over

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # it is awake
            self._wake_write.send(b"\0")

    def _on_sigterm(self, *_: object) -> None:
        self._stopping = True

    @property
    def _idle(self) -> bool:
        return self._scheduler is None or self._scheduler.idle

    def _over(self) -> bool:
        patience = IDLE_SECONDS if self._scheduler is not None else 0.0
        alone = not self._clients and time.monotonic() >= self._alone_since + patience
        return self._idle and (self._stopping or alone)

    def _patience(self) -> float:
        """Seconds to wait for the next event."""
        if not self._idle:
            return LOOK_SECONDS if self._scheduler is not None and self._scheduler.syncing else 0.0
        if not self._clients:
            return max(0.0, self._alone_since + IDLE_SECONDS - time.monotonic())
        if self._rebuild is not None and self._rebuild.measuring:
            return MEASURING_SECONDS
        return BUILDING_SECONDS if self._rebuild is not None and self._rebuild.child is not None else LOOK_SECONDS

    def _say_goodbye(self) -> None:
        """Give answers that the sockets haven't taken yet a moment to leave. The connections end with the process: a client
        that sees the end knows that the folder is free. Where a successor serves already, they end at once.
        """
        self._selector.unregister(self._listener)
        self._listener.close()
        deadline = time.monotonic() + 1.0
        while any(item.waiting_to_send for item in self._connections) and time.monotonic() < deadline:
            self._wait(0.05)
            self._send_all()
        if self.handed_over:
            for connection in self._clients:
                self._hang_up(connection)

    # Sockets

    def _wait(self, timeout: float) -> None:
        for key, events in self._selector.select(timeout):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._wake_read:
                self._wake_read.recv(4096)
            elif events & selectors.EVENT_READ:
                self._receive(key.data)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # the client is gone again
        connection = Connection(sock)
        self._connections.add(connection)
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _receive(self, connection: Connection) -> None:
        try:
            for number, request in connection.receive():
                self._take(connection, number, request)
        except ProtocolError as reason:
            log.warning("closing a connection that doesn't speak the protocol: %s", reason)
            self._hang_up(connection)
        except OSError:
            self._hang_up(connection)

    def _hang_up(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection.sock)
        connection.close()
        if self._scheduler is not None:
            self._scheduler.forget(connection)
        if self._rebuild is not None and connection.builder:
            self._rebuild.builder_gone()
        if not self._clients:
            self._alone_since = time.monotonic()

    def _send_all(self) -> None:
        for connection in list(self._connections):
            try:
                connection.send()
            except OSError:
                self._hang_up(connection)
                continue
            events = 0 if connection.clogged else selectors.EVENT_READ
            if connection.waiting_to_send:
                events |= selectors.EVENT_WRITE
            self._selector.modify(connection.sock, events, connection)

    # Requests

    def _take(self, connection: Connection, number: int, request: Request) -> None:
        """Answer what needs no turn of its own; queue the rest."""
        try:
            response = self._answer(connection, number, request)
        except MemoryServiceError as error:
            response = to_failure(error)
        if response is not None:
            connection.answer(number, response)

    def _answer(self, connection: Connection, number: int, request: Request) -> Response | None:
        store, scheduler, rebuild = self._opened, self._scheduler, self._rebuild
        if isinstance(store, MemoryServiceError) or scheduler is None or rebuild is None:
            raise store if isinstance(store, MemoryServiceError) else RuntimeError("a store without a scheduler")
        if rebuild.handed_over:
            return Moved()
        if isinstance(request, Hello):
            return self._greet(connection, request, store)
        if not connection.greeted:
            raise StorageError("The first request of a connection must be Hello.")
        if scheduler.size >= QUEUE_LIMIT:
            raise StorageBusyError(f"The storage has {scheduler.size:,} requests waiting. Try again in a moment.")
        match request:
            case Leave():
                connection.left = True
                self._stopping = self._stopping or all(client.left for client in self._clients)
                response: Response | None = Done(changed=self._stopping)
            case Stats():
                response = store.figures(waiting=rebuild.plan is not None and rebuild.plan.graph is not None)
            case BuildGeneration():
                response = rebuild.request(connection, number)
            case Subscribe() | TakeJournal() | HandOver():
                response = self._answer_builder(rebuild, connection, number, request)
            case Pause() | Resume():
                response = self._pause(scheduler, connection, number, on=isinstance(request, Pause))
            case Upsert() | Delete() | DeleteMatching() | Update():
                item = Pending(connection, number, begin(store.collection, request))
                response = self._take_write(
                    scheduler, store, item, deletes=isinstance(request, Delete | DeleteMatching)
                )
            case _:
                scheduler.reads.append(Pending(connection, number, begin(store.collection, request)))
                response = None
        return response

    def _take_write(self, scheduler: Scheduler, store: OpenStore, item: Pending, *, deletes: bool) -> Response | None:
        if store.outdated:  # this engine can only read; the next one opens the store itself
            self._stopping = True
            return Moved()
        item.deletes = deletes
        scheduler.writes.append(item)
        return None

    def _pause(self, scheduler: Scheduler, connection: Connection, number: int, *, on: bool) -> Response | None:
        if on and scheduler.paused_by is None:
            scheduler.paused_by = connection
            self._pausing = (connection, number)
            return None
        if scheduler.paused_by is not connection:
            raise StorageBusyError("Another backup of this store is being made. Try again when it has ended.")
        scheduler.go_on()
        return Done()

    def _answer_pause(self) -> None:
        """Tell who waits for it that the files stand still: every write that had begun is in them, and in the log."""
        scheduler, store = self._scheduler, self._opened
        if self._pausing is None or scheduler is None or not isinstance(store, OpenStore):
            return
        connection, number = self._pausing
        if scheduler.paused_by is not connection:
            self._pausing = None
        elif scheduler.settled:
            self._pausing = None
            if not store.read_only:
                scheduler.commit()
            scheduler.still = True
            connection.answer(number, Paused(store.manifest.generation, store.collection.count(EVERYTHING)))

    def _answer_builder(
        self, rebuild: Rebuild, connection: Connection, number: int, request: BuilderRequest
    ) -> Response | None:
        if isinstance(request, Subscribe):
            return rebuild.subscribe(connection, request.generation)
        if not connection.builder:
            raise StorageError("Only the builder of a generation may ask for that.")
        if isinstance(request, TakeJournal):
            return rebuild.take_journal(final=request.final)
        rebuild.hand_over(request)
        self._pass_on(connection, number)
        return None

    @property
    def _clients(self) -> list[Connection]:
        return [connection for connection in self._connections if not connection.builder]

    def _pass_on(self, builder: Connection, number: int) -> None:
        """Give the successor the listening socket and the lock, and send everybody else there."""
        if self._scheduler is not None:
            self._scheduler.refuse_all(Moved())
        self._stopping = True
        descriptors = [self._listener.fileno(), self._lock.fd] if builder.sock.family == AF_UNIX else []
        builder.answer_with(number, Done(), descriptors)

    def _greet(self, connection: Connection, hello: Hello, store: OpenStore) -> Response:
        """Let in who speaks this version, knows the token, and embeds with the model of the stored vectors."""
        if hello.version != VERSION:
            raise StorageError(
                f"The engine of {store.folder.path} speaks version {VERSION} of its protocol, this client {hello.version}.\n"
                "Two releases share one store: stop the older one's processes, then try again."
            )
        if hello.token != self._token:
            raise StorageError(f"The engine of {store.folder.path} refused the token in engine.json; try again.")
        stored = store.manifest.model
        if (stored.fingerprint, stored.dimensions) != (hello.model.fingerprint, hello.model.dimensions):
            raise ModelChangedError(
                old_model=stored.name,
                new_model=hello.model.name,
                old_dimensions=stored.dimensions,
                new_dimensions=hello.model.dimensions,
                old_fingerprint=stored.fingerprint,
            )
        if hello.collection not in {store.manifest.collection, *store.manifest.aliases}:
            raise StorageError(
                f"The storage folder {store.folder.path} holds the collection '{store.manifest.collection}', not "
                f"'{hello.collection}'.\n"
                f"Set MCP_QDRANT_COLLECTION={store.manifest.collection}, or another MCP_QDRANT_STORAGE_PATH."
            )
        connection.greeted = True
        return Welcome(os.getpid(), store.manifest.generation)
