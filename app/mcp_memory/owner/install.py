"""Makes a FastAPI app the owner's app: the paths under /internal, the gate before every request, `app.state.owner`."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from starlette.middleware import Middleware

from mcp_memory.owner.api import router
from mcp_memory.owner.gate import OwnerGate, OwnerState
from mcp_memory.owner.identity import StoreIdentity
from mcp_memory.owner.maintenance import LeaseFile
from mcp_memory.owner.record import OwnerKind


def install_owner(
    app: FastAPI,
    store: StoreIdentity,
    kind: OwnerKind,
    *,
    workers: int = 1,
    stop: Callable[[], None] | None = None,
    connections: Callable[[], int] | None = None,
) -> OwnerState:
    """Call it before the app serves, in each worker; `app.state.container` must be there by the first request.

    `stop` drains and ends the process; without it no client can ask for that. `connections` counts those that are open.
    """
    state = OwnerState(
        kind,
        LeaseFile(store.paths.maintenance),
        storage=lambda: app.state.container,
        stop=stop,
        connections=connections,
        watches=workers > 1,
    )
    app.state.owner = state
    app.user_middleware.append(Middleware(OwnerGate, state=state))  # innermost: behind authentication
    app.include_router(router)
    return state
