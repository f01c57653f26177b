"""The background owner: serves an app on the local socket alone, hands over when asked, ends when idle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from mcp_memory.domain.errors import MemoryServiceError
from mcp_memory.owner.gate import OwnerState
from mcp_memory.owner.identity import StoreIdentity
from mcp_memory.owner.install import install_owner
from mcp_memory.owner.ownership import HANDOVER_SECONDS, Ownership
from mcp_memory.owner.record import OwnerKind
from mcp_memory.owner.starter import LOG_BYTES, open_log
from mcp_memory.owner.token import TokenDoor

log = structlog.stdlib.get_logger("mcp_memory.owner")
KEEP_ALIVE_SECONDS = 7 * 24 * 3600
"""An open connection says that a client lives: clients close theirs, not the owner."""
_LONGEST_LOOK = 15.0


def run_background_owner(store: StoreIdentity, make_app: Callable[[], FastAPI], *, graceful_seconds: int) -> None:
    """Own the store until idle, asked to hand over, or SIGTERM. Tells on stdout, in one line, that it is ready or why not.

    Raises MemoryServiceError after having told it.
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


async def _serve(ownership: Ownership, make_app: Callable[[], FastAPI], graceful_seconds: int) -> None:
    app = make_app()
    config = uvicorn.Config(
        TokenDoor(app, ownership.token) if sys.platform == "win32" else app,
        lifespan="off",  # run below, where its errors can be told to the client that waits
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=graceful_seconds,
        backlog=2048,
    )

    def ready() -> None:
        ownership.publish()
        _tell({"ready": True, "pid": os.getpid()})
        log.info("serving", folder=str(ownership.store.folder), pid=os.getpid())

    server = _Server(config, ready)

    def stop() -> None:
        ownership.withdraw()
        server.should_exit = True

    state = install_owner(
        app,
        ownership.store,
        OwnerKind.BACKGROUND,
        stop=stop,
        connections=lambda: len(server.server_state.connections),
    )
    async with app.router.lifespan_context(app):
        with _signals(stop):
            idle = asyncio.create_task(_end_when_idle(ownership.store, state, stop))
            await server.serve(sockets=[ownership.listen()])
            idle.cancel()
    log.info("ended", folder=str(ownership.store.folder), pid=os.getpid())


class _Server(uvicorn.Server):
    """Says when it accepts connections, and leaves signals to `_signals`: uvicorn would raise them again before the clean-up."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    def on_signal(number: int, _: FrameType | None) -> None:
        log.info("asked to end", signal=signal.Signals(number).name)
        stop()

    handled = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, on_signal) for number in handled]
    try:
        yield
    finally:
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)


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
        if path.stat().st_size > LOG_BYTES and os.path.samestat(path.stat(), os.fstat(2)):
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
