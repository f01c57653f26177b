"""The storage folder for one process alone: for migration, restore, and whatever else must not meet a running engine."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from mcp_memory.domain.errors import StorageBusyError, StorageLockedError, StorageUnavailableError
from mcp_memory.owner.client import OwnerClient
from mcp_memory.owner.connection import Response
from mcp_memory.owner.identity import StoreIdentity
from mcp_memory.owner.lock import FileLock
from mcp_memory.owner.maintenance import LeaseFile
from mcp_memory.owner.ownership import Ownership, command_line
from mcp_memory.owner.record import OwnerKind, read_record

LEASE_SECONDS = 30.0
LONGEST_HOLDER = 200
"""Characters of a command line that an owner takes; paths may make it longer."""
RELEASE_SECONDS = 30.0
"""How long an owner's engine may take to end."""
_POLL_SECONDS = 0.02


@asynccontextmanager
async def exclusive_use(store: StoreIdentity, *, reason: str) -> AsyncIterator[None]:
    """The folder without an engine in it, for the time of this context; clients meanwhile get a clear 503.

    A background owner hands over, and this process holds the lock. A server keeps its address and its lock, closes its
    storage and gives a lease; should it die, no other owner starts before the lease has ended or the context is left.
    Raises StorageBusyError where other maintenance is at work.
    """
    try:
        ownership = await asyncio.to_thread(Ownership.acquire, store, OwnerKind.MAINTENANCE)
    except StorageLockedError:
        async with _leased(store, reason):
            yield
        return
    with ownership:
        await _engine_gone(store)
        yield


@asynccontextmanager
async def _leased(store: StoreIdentity, reason: str) -> AsyncIterator[None]:
    record = read_record(store.paths.record)
    if record is not None:  # whatever its settings are: it is asked for the folder, not for answers
        store = replace(store, model=record.model, fingerprint=record.fingerprint)
    client = OwnerClient(store, start=None)
    holder = f"process {os.getpid()} ({command_line()})"[:LONGEST_HOLDER]
    wish = {"holder": holder, "reason": reason, "seconds": LEASE_SECONDS}
    try:
        token = str((await _ask(client, "POST", wish)).json()["token"])
        renewing = asyncio.create_task(_renew(client, store, wish | {"token": token}))
        try:
            await _engine_gone(store)
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            try:
                await _ask(client, "DELETE", {"token": token})
            except StorageUnavailableError:  # the server has died
                LeaseFile(store.paths.maintenance).clear()
    finally:
        await client.close()


async def _renew(client: OwnerClient, store: StoreIdentity, wish: dict[str, object]) -> None:
    """Keep the lease; where the server that gave it has died, keep the file that every other owner respects."""
    file = LeaseFile(store.paths.maintenance)
    while True:
        await asyncio.sleep(LEASE_SECONDS / 3)
        try:
            await _ask(client, "POST", wish)
        except StorageUnavailableError:
            lease = file.current()
            if lease is not None and lease.token == wish["token"]:
                file.write(replace(lease, until=time.time() + LEASE_SECONDS))


async def _ask(client: OwnerClient, method: str, value: dict[str, object]) -> Response:
    response = await client.request(
        method, "/internal/exclusive", headers={"Content-Type": "application/json"}, body=json.dumps(value).encode()
    )
    if not response.ok:
        raise StorageBusyError(str(response.json()["error"]["message"]))
    return response


async def _engine_gone(store: StoreIdentity) -> None:
    """The engine ends a moment after its last client has gone."""
    lock = FileLock(store.folder / "engine.lock")
    try:
        async with asyncio.timeout(RELEASE_SECONDS):
            while not lock.try_acquire():  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)  # a lock file has no event to wait for
    except TimeoutError:
        raise StorageBusyError(f"The engine of {store.folder} did not end within {RELEASE_SECONDS:.0f} s.") from None
    finally:
        lock.release()
