"""What an owner does besides answering: it keeps to maintenance leases, and a background owner ends when nobody needs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from mcp_memory.domain.errors import StorageError
from mcp_memory.owner.gate import OwnerState

log = structlog.stdlib.get_logger("mcp_memory.owner")
RETRY_SECONDS = 1.0


@asynccontextmanager
async def keeping_to_leases(owner: OwnerState) -> AsyncIterator[None]:
    """Watch for leases that other processes gave, while this context lasts."""
    task = asyncio.create_task(_watch(owner), name="leases")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(owner: OwnerState) -> None:
    while True:
        try:
            await owner.watch()
        except StorageError as error:
            log.warning("the storage can't follow a maintenance lease", reason=error.message)
            await asyncio.sleep(RETRY_SECONDS)


async def end_when_idle(owner: OwnerState, idle_seconds: float) -> None:
    """Stop a background owner after this time without a request or a connection."""
    assert owner.stop is not None  # noqa: S101  (a background owner's is set)
    while owner.clients or owner.idle_seconds < idle_seconds:
        await asyncio.sleep(min(1.0, idle_seconds / 4))
    log.info("nobody needs this owner any more", idle_seconds=idle_seconds)
    owner.stop()
