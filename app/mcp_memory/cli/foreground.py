"""`memory server` in the foreground: owns the store where it is an embedded one, and serves."""

from __future__ import annotations

import os

from mcp_memory.config import Settings, load_settings
from mcp_memory.domain.errors import StorageError
from mcp_memory.http.server import run_server
from mcp_memory.owner.identity import StoreIdentity, identify
from mcp_memory.owner.ownership import Ownership
from mcp_memory.owner.record import OwnerKind


def serve(overrides: dict[str, object]) -> int:
    """Serve until SIGTERM; the exit code. Raises StorageLockedError where another server has the store."""
    settings = load_settings(**overrides)
    os.umask(0o077)
    ownership = _own(settings)
    try:
        return run_server(settings, ownership=ownership)
    finally:
        if ownership is not None:
            ownership.release()


def _own(settings: Settings) -> Ownership | None:
    """A server of an embedded store owns it. Of a remote one many may be servers; one of them also serves local clients."""
    store: StoreIdentity = identify(settings)
    try:
        return Ownership.acquire(store, OwnerKind.SERVER)
    except StorageError:
        if store.exclusive:
            raise
        return None
