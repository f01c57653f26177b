"""An owner keeps to maintenance leases, also those that another worker gave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from mcp_memory.domain.errors import EmbeddingError, StorageError
from mcp_memory.loggers import structlog
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
        except (StorageError, EmbeddingError) as error:
            log.warning("the storage can't follow a maintenance lease", reason=error.message)
            await asyncio.sleep(RETRY_SECONDS)
