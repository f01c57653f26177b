"""What an owner knows about its clients while it serves, and the ASGI middleware that every request passes.

It counts requests, which tells when a background owner is idle, and keeps them out while a maintenance lease is in force.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias

from mcp_memory.domain.errors import StorageBusyError, StorageError
from mcp_memory.owner.maintenance import Lease, LeaseFile
from mcp_memory.owner.record import OwnerKind

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

DRAIN_SECONDS = 30.0
"""How long requests in work may take to end before a lease is refused."""
_WATCH_SECONDS = 1.0
_ALWAYS_OPEN = frozenset(
    {"/internal/owner", "/internal/handover", "/internal/exclusive", "/livez", "/readyz", "/metrics", "/api/health"}
)
"""Answered during maintenance too; they neither need the storage nor keep a background owner from being idle."""


class Suspendable(Protocol):
    """What a lease asks of the composition root: close the storage, and open it again."""

    async def suspend(self) -> None: ...

    async def resume(self) -> None: ...


class OwnerState:
    """One a process (worker) of the owner; `app.state.owner`."""

    def __init__(
        self,
        kind: OwnerKind,
        lease: LeaseFile,
        *,
        storage: Callable[[], Suspendable],
        stop: Callable[[], None] | None = None,
        connections: Callable[[], int] | None = None,
        watches: bool = False,
    ) -> None:
        self.kind = kind
        self.lease = lease
        self.storage = storage
        self.stop = stop
        """Drain and end; None where no client may ask for it."""
        self.connections = connections
        self.watches = watches
        """Leases may be given by another worker: look for them although no request comes by."""
        self.in_work = 0
        self._last = time.monotonic()
        self._suspended = False
        self._changing = asyncio.Lock()
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def idle_seconds(self) -> float:
        """Since the last request ended; 0 while one is in work."""
        return 0.0 if self.in_work else time.monotonic() - self._last

    @property
    def clients(self) -> int:
        """Connections that are open."""
        return self.connections() if self.connections is not None else 0

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """A request that uses the storage is in work."""
        self.in_work += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self.in_work -= 1
            self._last = time.monotonic()
            if not self.in_work:
                self._quiet.set()

    async def keep_to_lease(self) -> Lease | None:
        """Bring the storage to what the lease in force asks for: closed or open. Returns that lease, or None.

        Raises StorageBusyError where requests in work don't end in time, or what `resume` raises.
        """
        lease = self.lease.current()
        if (lease is not None) == self._suspended:
            return lease
        async with self._changing:
            lease = self.lease.current()
            if lease is not None and not self._suspended:
                await self._suspend()
            elif lease is None and self._suspended:
                await self.storage().resume()
                self._suspended = False
        return lease

    async def _suspend(self) -> None:
        self._suspended = True
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._quiet.wait()
            await self.storage().suspend()
        except BaseException as error:
            self._suspended = False
            if isinstance(error, TimeoutError):
                raise StorageBusyError(
                    f"{self.in_work} requests did not end within {DRAIN_SECONDS:.0f} s: try the maintenance again.",
                    retry_after=5.0,
                ) from None
            raise

    async def watch(self) -> None:
        """Keep to leases until cancelled. Raises what `keep_to_lease` raises; call it again then."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            await self.keep_to_lease()


class OwnerGate:
    """ASGI middleware: counts requests, and answers 503 while a maintenance lease is in force."""

    def __init__(self, app: App, state: OwnerState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _ALWAYS_OPEN:
            await self._app(scope, receive, send)
            return
        try:
            lease = await self._state.keep_to_lease()
        except StorageError as error:
            await _refuse(error, send)
            return
        if lease is not None:
            await _refuse(lease.busy(), send)
            return
        async with self._state.working():
            await self._app(scope, receive, send)


async def _refuse(error: StorageError, send: Send) -> None:
    retry_after = error.retry_after if isinstance(error, StorageBusyError) else 1.0
    body = json.dumps({"error": {"code": error.code, "message": error.message}, "detail": error.message}).encode()
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(max(1, round(retry_after))).encode()),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
