"""OwnerClient: the one way in for programs that load no model and no engine (`memory mcp`, the CLI)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from mcp_memory import __version__
from mcp_memory.domain.errors import StorageUnavailableError
from mcp_memory.owner.connection import ConnectionLostError, ConnectionPool, Response
from mcp_memory.owner.handshake import Verdict, ask_to_hand_over, judge, pool_to, shake_hands
from mcp_memory.owner.identity import StoreIdentity
from mcp_memory.owner.lock import FileLock, read_holder
from mcp_memory.owner.maintenance import LeaseFile
from mcp_memory.owner.ownership import locked_error
from mcp_memory.owner.paths import OwnerPaths
from mcp_memory.owner.record import OwnerKind, OwnerRecord, read_record
from mcp_memory.owner.starter import start_background_owner

DEADLINE_SECONDS = 60.0
"""For a request, and for the start of an owner: slow ARM boards take their time to load a model."""
RESENDS = 3
"""How many owners may die of one request before it is the request's fault."""
_FIRST_WAIT, _LONGEST_WAIT = 0.01, 0.25

Start = Callable[[StoreIdentity, float], Awaitable[None]]


async def _start(store: StoreIdentity, seconds: float) -> None:
    await start_background_owner(store, deadline_seconds=seconds)


class OwnerClient:
    """Requests to whoever owns the store, or to one started for them.

    When the owner dies, another is found or started and the request is sent again: every request of this service may be
    sent twice. Requests run side by side. Use within one event loop; call `close` at the end.
    """

    def __init__(
        self,
        store: StoreIdentity,
        *,
        start: Start | None = _start,
        version: str = __version__,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`start` None: never start an owner (used by commands that only look). `headers` go with every request."""
        self._headers = dict(headers or {})
        self.store = store
        self._start = start
        self._version = version
        self._pool: ConnectionPool | None = None
        self._owner: OwnerRecord | None = None
        self._finding = asyncio.Lock()

    @property
    def owner(self) -> OwnerRecord | None:
        """The owner of the last handshake."""
        return self._owner

    async def connect(self, *, deadline_seconds: float = DEADLINE_SECONDS) -> OwnerRecord:
        """Find or start the owner and shake hands. Raises as `request` does."""
        await self._connected(time.monotonic() + deadline_seconds)
        assert self._owner is not None  # noqa: S101 - set with the pool
        return self._owner

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> Response:
        """The owner's answer, whatever its status.

        Raises StorageUnavailableError where none can be had in time, ConfigurationError where the owner's settings aren't
        ours, and what a new owner fails with at its start.
        """
        deadline = time.monotonic() + deadline_seconds
        for _ in range(1 + RESENDS):
            pool = await self._connected(min(deadline, time.monotonic() + DEADLINE_SECONDS))
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    response = await pool.request(
                        method, target, headers=self._headers | dict(headers or {}), body=body
                    )
                if not response.from_a_stopping_owner:
                    return response
                await self._forget(pool)
            except ConnectionLostError:
                await self._forget(pool)
            except TimeoutError:
                raise StorageUnavailableError(
                    f"The memory store {self.store.folder} did not answer {method} {target} within {deadline_seconds:.0f} s."
                ) from None
        raise StorageUnavailableError(
            f"The process that serves {self.store.folder} ended {1 + RESENDS} times while it worked on {method} {target}.\n"
            f"Its log may say why:  {self.store.paths.log}"
        )

    async def close(self) -> None:
        if self._pool is not None:
            await self._forget(self._pool)

    async def _forget(self, pool: ConnectionPool) -> None:
        if self._pool is pool:
            self._pool = None
        await pool.close()

    async def _connected(self, deadline: float) -> ConnectionPool:
        if self._pool is not None:
            return self._pool
        async with self._finding:
            if self._pool is None:
                self._pool, self._owner = await self._find_or_start(deadline)
            return self._pool

    async def _find_or_start(self, deadline: float) -> tuple[ConnectionPool, OwnerRecord]:
        paths = self.store.paths
        self.store.check_folder()
        start_lock = FileLock(paths.start)
        wait = _FIRST_WAIT
        replaced: set[int] = set()
        while True:
            found = await self._find(replaced)
            if found is not None:
                return found
            check_maintenance(paths)
            if self._start is None:
                raise StorageUnavailableError(f"No process serves the memory store {self.store.folder}.")
            left = deadline - time.monotonic()
            if left <= 0:
                raise StorageUnavailableError(f"{locked_error(paths).message}\nIt did not answer in time.")
            paths.create_folder()
            if start_lock.try_acquire():
                try:
                    found = await self._find(replaced)  # somebody may have been quicker
                    if found is not None:
                        return found
                    await self._start(self.store, left)
                finally:
                    start_lock.release()
                found = await self._find(replaced)
                if found is not None:
                    return found
            await asyncio.sleep(wait)  # somebody else brings one up, or one is going: the lock tells no other way
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _find(self, replaced: set[int]) -> tuple[ConnectionPool, OwnerRecord] | None:
        """The owner that is there, if it answers and will do; one that won't is asked to hand over."""
        record = read_record(self.store.paths.record)
        if record is None or record.pid in replaced:
            return None
        pool = pool_to(record)
        verdict: Verdict | None = None
        try:
            owner = await shake_hands(pool)
            verdict = judge(owner, self.store, self._version)
            if verdict is Verdict.USE:
                return pool, owner
            reason = f"another client is version {self._version}, model {self.store.model}"
            if await ask_to_hand_over(pool, reason=reason, takes_over=verdict is Verdict.REPLACE):
                replaced.add(owner.pid)
            return None
        except ConnectionLostError:
            return None
        finally:
            if verdict is not Verdict.USE:
                await pool.close()


def check_maintenance(paths: OwnerPaths) -> None:
    """Raises StorageBusyError where a maintenance command has the folder, by a lease or by the lock itself."""
    lease = LeaseFile(paths.maintenance).current()
    if lease is not None:
        raise lease.busy()
    holder = read_holder(paths.lock)
    if holder is not None and holder.kind == OwnerKind.MAINTENANCE:
        lock = FileLock(paths.lock)
        if not lock.try_acquire():  # else it has ended, and its name is what is left of it
            raise locked_error(paths)
        lock.release()
