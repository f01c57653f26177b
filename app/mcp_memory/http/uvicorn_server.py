"""uvicorn as this service runs it: in a gunicorn worker, or alone (a background owner, Windows)."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import uvicorn

from mcp_memory.http.descriptors import ConnectionLimits
from mcp_memory.http.protocol import BoundedProtocol, bounded_protocol
from mcp_memory.http.tls import Certificate

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGQUIT", "SIGBREAK") if hasattr(signal, name)]
KEEP_ALIVE_SECONDS = 75
CANCEL_SECONDS = 2.0
"""For requests that were cancelled: to answer, and to let go of what they hold."""


def uvicorn_options(
    graceful_seconds: float, limits: ConnectionLimits, tls: Certificate | None = None
) -> dict[str, Any]:
    """Access logs and server headers are our middleware's affair; forwarding headers are believed from nobody.

    Requests in work have `graceful_seconds` to finish after SIGTERM, and two more to end when they are cancelled.
    """
    compiled = sys.platform != "win32"
    return {
        "loop": "uvloop" if compiled else "asyncio",
        "http": bounded_protocol(limits, tls),
        "backlog": limits.backlog,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": graceful_seconds + CANCEL_SECONDS,
    }


class Server(uvicorn.Server):
    """Drains and ends on SIGTERM, SIGINT and SIGQUIT, and when its parent has died: an orphan must not keep the store."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        parent: int | None = None,
        on_ready: Callable[[], None],
        on_stopping: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(config)
        self._parent = parent
        self._on_ready = on_ready
        self._on_stopping = on_stopping
        self._cancelling = False

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self.server_state.connections)

    def stop(self) -> None:
        """Drain and end."""
        self.should_exit = True

    async def startup(self, sockets: list[Any] | None = None) -> None:
        from mcp_memory.http.stopping import StoppingAnswers  # noqa: PLC0415  (gunicorn's master needs none of it)

        self.config.loaded_app = StoppingAnswers(self.config.loaded_app, stopping=lambda: self._cancelling)
        await super().startup(sockets)
        if self.started and not self.should_exit:
            gc.freeze()  # what is there now stays: a collection that looks at all of it holds everybody up for 40 ms
            self._on_ready()

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        if self._on_stopping is not None:
            self._on_stopping()
        seconds = (self.config.timeout_graceful_shutdown or CANCEL_SECONDS) - CANCEL_SECONDS
        timer = asyncio.get_running_loop().call_later(seconds, self._cancel_what_is_left)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()

    def _cancel_what_is_left(self) -> None:
        """uvicorn would cancel too, with a traceback and a 500 in plain text."""
        self._cancelling = True
        for connection in list(self.server_state.connections):
            if isinstance(connection, BoundedProtocol):
                connection.cut_off()
        for task in list(self.server_state.tasks):
            task.cancel()

    async def on_tick(self, counter: int) -> bool:
        if self._parent is not None and os.getppid() != self._parent:
            return True
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Unlike uvicorn's, signals aren't raised again at the end: a drained worker has ended well, with status 0."""
        if sys.platform == "win32":
            with super().capture_signals():
                yield
            return
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)
