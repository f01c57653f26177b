"""`memory server` in the foreground: owns the store where it is an embedded one, and serves."""

from __future__ import annotations

import os
from pathlib import Path

from mcp_memory.config import Settings, load_settings
from mcp_memory.domain.errors import StorageError
from mcp_memory.generated_key import with_generated_key
from mcp_memory.http.server import run_server
from mcp_memory.logs import configure_logs
from mcp_memory.owner.identity import StoreIdentity, identify
from mcp_memory.owner.ownership import Ownership
from mcp_memory.owner.record import OwnerKind
from mcp_memory.preflight import preflight


def serve(overrides: dict[str, object]) -> int:
    """Serve until SIGTERM; the exit code. Raises StorageLockedError where another server has the store."""
    settings = load_settings(**overrides)
    os.umask(0o077)
    configure_logs(settings)
    preflight(settings)
    settings = with_generated_key(settings)
    ownership = _own(settings)
    _withdraw(settings.address_file)
    try:
        return run_server(settings, ownership=ownership, on_ready=lambda url: _announce(settings.address_file, url))
    finally:
        _withdraw(settings.address_file)
        if ownership is not None:
            ownership.release()


def _announce(file: Path | None, url: str) -> None:
    if file is not None:
        part = file.with_name(f".{file.name}.part")
        part.write_text(f"{url}\n", encoding="utf-8")
        part.replace(file)


def _withdraw(file: Path | None) -> None:
    """A container that starts again still has the file of its last run."""
    if file is not None:
        file.unlink(missing_ok=True)


def _own(settings: Settings) -> Ownership | None:
    """A server of an embedded store owns it. Of a remote one many may be servers; one of them also serves local clients."""
    store: StoreIdentity = identify(settings)
    try:
        return Ownership.acquire(store, OwnerKind.SERVER)
    except StorageError:
        if store.exclusive:
            raise
        return None
