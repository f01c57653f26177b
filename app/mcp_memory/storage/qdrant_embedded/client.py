"""A client of the engine: connects, starts an engine where none answers, and brings up another when it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from mcp_memory.domain.errors import (
    MemoryServiceError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    StorageLockedError,
    StorageUnavailableError,
)
from mcp_memory.storage.qdrant_embedded.address import read_address
from mcp_memory.storage.qdrant_embedded.failures import to_error
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder
from mcp_memory.storage.qdrant_embedded.launch import EX_TEMPFAIL, describe_end, is_engine, last_line, start_engine
from mcp_memory.storage.qdrant_embedded.lock import FolderLock, holder
from mcp_memory.storage.qdrant_embedded.manifest import Model
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_embedded.protocol import (
    VERSION,
    Done,
    Failure,
    Hello,
    Leave,
    Moved,
    Pause,
    Paused,
    Ping,
    Request,
    Response,
    Resume,
    Welcome,
)
from mcp_memory.storage.qdrant_embedded.space import check_space
from mcp_memory.storage.qdrant_embedded.wire import ConnectionLostError, Wire

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Response)

ATTEMPTS = 3
"""How often a request is sent where engines die under it. Every request may be sent again."""
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.05
"""Seconds between two looks for a starting engine's socket: a file's appearance can't be waited for portably."""
LEAVE_SECONDS = 15.0
SILENT_SECONDS = 10.0
"""Without an answer for this long an engine is asked whether it lives: it works in slices of milliseconds."""
LIVES_SECONDS = 15.0
"""How long that may take; with both, a stopped or hung engine is replaced within half a minute."""
GREETING_SECONDS = 10.0
"""An engine listens once its store is open, and answers a greeting between two slices: one that doesn't by then hangs."""
WATCH_SECONDS = 2.0


class EngineClient:
    """Requests to the engine of one folder. Belongs to one event loop."""

    def __init__(self, options: EmbeddedOptions) -> None:
        self._options = options
        self._folder = StorageFolder(options.path)
        self._wire: Wire | None = None
        self._engine_pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._connecting = asyncio.Lock()
        self._closed = False
        self._watching: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Find or start the engine. Raises StorageError where the folder can't be served, with the reason."""
        self._closed = False
        await self._connected()

    async def ask(self, request: Request, expected: type[R], *, seconds: float | None = None) -> R:
        """The answer, from whichever engine lives. Raises the engine's error, or StorageUnavailableError."""
        limit = seconds if seconds is not None else self._options.request_timeout
        reason = ""
        for _ in range(ATTEMPTS):
            wire = await self._connected(reason)
            try:
                response = await wire.ask(request, limit)
            except ConnectionLostError:
                reason = await self._post_mortem(wire)
                continue
            except TimeoutError as error:
                raise StorageUnavailableError(
                    f"The engine process {self._engine_pid} of {self._folder.path} did not answer within {limit:g} s."
                ) from error
            if isinstance(response, Failure):
                raise to_error(response)
            if isinstance(response, Moved):
                await wire.ended()
                continue
            if not isinstance(response, expected):
                raise StorageError(
                    f"The engine answered {type(response).__name__} where {expected.__name__} was asked for."
                )
            return response
        raise StorageUnavailableError(
            f"The storage {self._folder.path} failed {ATTEMPTS} times in a row: {reason}.\nSee {self._folder.log}"
        )

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[Paused]:
        """The shard's files stand still for the time of this context: reads go on, writes wait.

        Raises StorageUnavailableError at the end where the engine ended meanwhile: what was copied may not be whole then.
        """
        wire = await self._connected()
        try:
            answer = await wire.ask(Pause(), self._options.request_timeout)
            if isinstance(answer, Failure):
                raise to_error(answer)
            if not isinstance(answer, Paused):
                raise StorageBusyError("The store is being taken over by a new generation. Try again in a moment.")
            yield answer
            await wire.ask(Resume(), self._options.request_timeout)
        except (ConnectionLostError, TimeoutError) as error:
            raise StorageUnavailableError(
                f"The engine process {self._engine_pid} of {self._folder.path} ended while its files were copied. Try again."
            ) from error

    async def close(self) -> None:
        """Leave; where this was the last client, wait until the engine has written everything and let go of the folder."""
        self._closed = True
        async with self._connecting:
            wire, self._wire = self._wire, None
            if self._watching is not None:
                self._watching.cancel()
                self._watching = None
            if wire is not None:
                ending = await self._leave(wire)
                await wire.close()
                if ending:
                    await self._reap()

    async def _leave(self, wire: Wire) -> bool:
        """Whether the engine ends, and has written everything and let go of the folder."""
        try:
            done = await wire.ask(Leave(), LEAVE_SECONDS)
            if isinstance(done, Done) and done.changed:
                async with asyncio.timeout(LEAVE_SECONDS):
                    await wire.ended()
                return True
        except (ConnectionLostError, TimeoutError):
            log.warning("the engine process %d was gone before it was left", self._engine_pid)
        return False

    # Connecting

    async def _connected(self, reason: str = "") -> Wire:
        if self._wire is not None and not self._wire.lost:
            return self._wire
        async with self._connecting:
            if self._closed:
                raise StorageUnavailableError(f"The storage {self._folder.path} is closed.")
            if self._wire is None or self._wire.lost:
                self._wire = await self._find_or_start(reason)
            return self._wire

    async def _find_or_start(self, reason: str) -> Wire:
        """Connect to the engine that is there, or that one of the waiting clients starts, within the start timeout."""
        deadline = time.monotonic() + self._options.start_timeout
        pause = FIRST_PAUSE
        crashes = 0
        starting: FolderLock | None = None
        try:
            while (wire := await self._try_connect()) is None:
                if ended := self._child_that_failed():
                    crashes, reason = crashes + 1, ended
                    log.warning("%s while opening %s", ended, self._folder.path)
                if crashes >= ATTEMPTS:
                    raise self._broken(reason)
                if time.monotonic() > deadline:
                    raise self._occupied(reason)
                starting = starting or FolderLock.try_acquire(self._folder.start)
                if starting is not None and self._process is None:
                    self._process = await asyncio.to_thread(start_engine, self._options)
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)
        finally:
            if starting is not None:
                starting.let_go()
        if self._process is not None and self._process.pid != self._engine_pid:
            self._process.terminate()  # it waits for a lock that another engine has
            self._process = None
        return wire

    def _child_that_failed(self) -> str:
        """How the engine that this client started has ended, if it has; empty where it lives or gave way to another."""
        if self._process is None or self._process.poll() is None:
            return ""
        process, self._process = self._process, None
        gave_way = process.returncode in {0, EX_TEMPFAIL}
        return "" if gave_way else describe_end(process.pid, process.returncode)

    async def _try_connect(self) -> Wire | None:
        """A greeted connection, or None where no engine answers; one that hangs is ended. Raises what the engine says about the
        folder or model."""
        address = read_address(self._folder)
        if address is None:
            return None
        try:
            wire = await Wire.open(address)
        except OSError:
            return None
        model = self._options.model
        hello = Hello(
            VERSION, self._options.collection, Model(model.name, model.dimensions, model.fingerprint), address.token
        )
        try:
            response = await wire.ask(hello, GREETING_SECONDS)
        except ConnectionLostError:
            await wire.close()
            return None
        except TimeoutError:
            if not wire.lost and (pid := holder(self._folder.lock)) is not None and is_engine(pid):
                self._end_hung(pid)
            await wire.close()
            return None
        if isinstance(response, Moved):
            await wire.close()
            return None
        if isinstance(response, Welcome):
            self._engine_pid = response.pid
            self._watch(wire, response.pid)
            return wire
        await wire.close()
        raise self._refusal(response)

    def _refusal(self, response: Response) -> MemoryServiceError:
        if isinstance(response, Failure):
            return to_error(response)
        return StorageError(f"The engine of {self._folder.path} answered {type(response).__name__} to a greeting.")

    def _broken(self, reason: str) -> StorageError:
        try:
            check_space(self._folder.path, self._options.disk_reserve_bytes, "the engine")
        except StorageFullError as full:
            return StorageFullError(f"{full.message}\n({reason})")
        return StorageUnavailableError(
            f"The storage {self._folder.path} can't be opened: {reason}, {ATTEMPTS} times in a row "
            f"({last_line(self._folder.log)}).\nSee {self._folder.log}"
        )

    def _occupied(self, reason: str) -> StorageError:
        pid = holder(self._folder.lock)
        return StorageLockedError(
            f"The storage folder {self._folder.path} is held by process {pid}, which doesn't answer"
            f"{f' ({reason})' if reason else ''}.\nWait until it ends, or end it: kill {pid}"
        )

    # Ends

    def _watch(self, wire: Wire, pid: int) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._watching = asyncio.create_task(self._replace_when_stuck(wire, pid), name="engine-watch")

    async def _replace_when_stuck(self, wire: Wire, pid: int) -> None:
        """End an engine that has stopped answering: its connection ends with it, and the requests go to the next one."""
        while not wire.lost:
            await asyncio.sleep(WATCH_SECONDS)
            if wire.silent_seconds < SILENT_SECONDS:
                continue
            try:
                await wire.ask(Ping(), LIVES_SECONDS)
            except ConnectionLostError:
                return
            except TimeoutError:
                if wire.silent_seconds >= LIVES_SECONDS and holder(self._folder.lock) == pid:
                    self._end_hung(pid)
                    return

    def _end_hung(self, pid: int) -> None:
        log.error("the engine process %d of %s hangs: ending it", pid, self._folder.path)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)

    async def _post_mortem(self, wire: Wire) -> str:
        """How the engine of a lost connection ended, as far as this process can know."""
        await wire.close()
        code = None
        if self._process is not None and self._process.pid == self._engine_pid:
            code = await self._reap()
        reason = describe_end(self._engine_pid, code)
        # An engine that ended well was asked to, by whoever wants the folder alone: the next one serves the request.
        log.log(logging.INFO if code == 0 else logging.WARNING, "%s; looking for another", reason)
        return reason

    async def _reap(self) -> int | None:
        """The exit code of the engine that this client started, once it has ended; None where it goes on for others."""
        if self._process is None:
            return None
        try:
            code = await asyncio.to_thread(self._process.wait, 2.0)
        except subprocess.TimeoutExpired:
            return None
        self._process = None
        return code
