"""`memory owner`: serves the store on its local socket alone, in the background; hands over when asked, ends when idle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvicorn

from mcp_memory.config import load_settings
from mcp_memory.domain.errors import MemoryServiceError
from mcp_memory.http.descriptors import connection_limits, raise_descriptor_limit
from mcp_memory.http.uvicorn_server import Server, uvicorn_options
from mcp_memory.loggers import structlog
from mcp_memory.logs import configure_logs
from mcp_memory.owner.gate import App, OwnerState
from mcp_memory.owner.identity import StoreIdentity, identify
from mcp_memory.owner.maintenance import LeaseFile
from mcp_memory.owner.ownership import HANDOVER_SECONDS, Ownership
from mcp_memory.owner.record import OwnerKind
from mcp_memory.owner.starter import LOG_BYTES, open_log
from mcp_memory.owner.token import TokenDoor

if TYPE_CHECKING:
    from fastapi import FastAPI

log = structlog.stdlib.get_logger("mcp_memory.owner")
KEEP_ALIVE_SECONDS = 7 * 24 * 3600
"""An open connection says that a client lives: clients close theirs, not the owner."""
MOST_CONNECTIONS = 4096
_LONGEST_LOOK = 15.0

MakeApp = Callable[[OwnerState], "FastAPI"]


def run_background_owner(store: StoreIdentity, make_app: MakeApp, *, graceful_seconds: int) -> None:
    """Own the store until idle, asked to hand over, or SIGTERM. Tells on stdout, in one line, that it is ready or why not.

    `make_app` builds an app that serves /internal, keeps to the gate of the state, and puts the container into its state
    when its lifespan begins. Raises MemoryServiceError after having told it.
    """
    try:
        with (
            Ownership.acquire(store, OwnerKind.BACKGROUND, wait_seconds=HANDOVER_SECONDS) as ownership,
            asyncio.Runner(loop_factory=_loop_factory()) as runner,
        ):
            runner.run(_serve(ownership, make_app, graceful_seconds))
    except MemoryServiceError as error:
        _tell({"ready": False, "code": error.code, "message": error.message})
        raise


def own() -> None:
    """As `run_background_owner`, with the service of the settings."""
    from mcp_memory.http.app import create_app  # noqa: PLC0415 - seconds of imports: after the settings have been found good

    try:
        settings = load_settings()
        store = identify(settings)
    except MemoryServiceError as error:
        _tell({"ready": False, "code": error.code, "message": error.message})
        raise
    configure_logs(settings)
    run_background_owner(
        store, lambda state: create_app(settings, owner=state), graceful_seconds=settings.graceful_timeout
    )


async def _serve(ownership: Ownership, make_app: MakeApp, graceful_seconds: int) -> None:
    raise_descriptor_limit()
    limits = connection_limits(MOST_CONNECTIONS)
    options = uvicorn_options(graceful_seconds, limits) | {"lifespan": "off", "timeout_keep_alive": KEEP_ALIVE_SECONDS}
    config = uvicorn.Config("", log_config=None, **options)
    server = Server(config, on_ready=lambda: _ready(ownership), on_stopping=ownership.withdraw)

    def stop() -> None:
        ownership.withdraw()
        server.stop()

    state = OwnerState(
        OwnerKind.BACKGROUND,
        LeaseFile(ownership.store.paths.maintenance),
        storage=lambda: app.state.container,
        stop=stop,
        connections=lambda: server.connections,
    )
    app = make_app(state)
    config.app = _behind_token(app, ownership)
    # The lifespan is run here and not by uvicorn, so that its errors can be told to the client that waits.
    async with app.router.lifespan_context(app):
        idle = asyncio.create_task(_end_when_idle(ownership.store, state, stop))
        await server.serve(sockets=[ownership.listen().dup()])
        idle.cancel()
    log.info("ended", pid=os.getpid())


def _behind_token(app: App, ownership: Ownership) -> App:
    return TokenDoor(app, ownership.token) if sys.platform == "win32" else app


def _ready(ownership: Ownership) -> None:
    ownership.publish()
    _tell({"ready": True, "pid": os.getpid()})
    log.info("serving", folder=str(ownership.store.folder), pid=os.getpid())


async def _end_when_idle(store: StoreIdentity, state: OwnerState, stop: Callable[[], None]) -> None:
    """End when there was no request for long enough, and no client is connected that might send one."""
    while True:
        await asyncio.sleep(min(store.idle_seconds / 4, _LONGEST_LOOK))
        _keep_log_short(store)
        if state.clients == 0 and state.idle_seconds >= store.idle_seconds:
            log.info("idle: ending", seconds=round(state.idle_seconds))
            stop()
            return


def _keep_log_short(store: StoreIdentity) -> None:
    """Begin the log again when it has grown: only where stderr is that file."""
    path = store.paths.log
    with contextlib.suppress(FileNotFoundError):
        status = path.stat()
        if status.st_size > LOG_BYTES and os.path.samestat(status, os.fstat(2)):
            with open_log(store) as fresh:
                os.dup2(fresh.fileno(), 2)


def _tell(report: dict[str, object]) -> None:
    """One line to whoever started us; from then on stdout is stderr."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(report).encode() + b"\n")
    os.dup2(2, 1)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not on Windows

    return uvloop.new_event_loop
