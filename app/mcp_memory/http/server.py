"""run_server: what `memory server` does once the settings are read."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from mcp_memory import __version__
from mcp_memory.config import Settings
from mcp_memory.http.descriptors import connection_limits, raise_descriptor_limit
from mcp_memory.http.listen import listen, url_of
from mcp_memory.http.tls import Certificate, certificate_of
from mcp_memory.loggers import structlog
from mcp_memory.logs import configure_logs

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from mcp_memory.http.uvicorn_server import Server
    from mcp_memory.owner.gate import OwnerState
    from mcp_memory.owner.ownership import Ownership

log = structlog.stdlib.get_logger("mcp_memory.http")


def run_server(
    settings: Settings,
    *,
    ownership: Ownership | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code: 0, 78 for settings that can't work, 69 where the storage can't.

    With an `ownership` its local socket is served too, and its record is published once requests are answered.
    `on_ready` is told the URL then.

    Raises ConfigurationError, before anything is started, where the address can't be had or would be open to a network
    without a key. The caller releases the ownership.
    """
    configure_logs(settings)
    os.umask(0o077)
    raise_descriptor_limit()
    tls = certificate_of(settings)
    public = listen(settings)
    url = url_of(public, tls=tls is not None)
    serving = False

    def ready() -> None:
        nonlocal serving
        serving = True
        if ownership is not None:
            ownership.publish(tcp=url)
        if on_ready is not None:
            on_ready(url)
        log.info("serving", url=url, version=__version__, pid=os.getpid())

    def stopping() -> None:
        if ownership is not None:
            ownership.withdraw()
        if serving:
            log.info("stopping: requests in work are finished first")

    sockets = [public] if ownership is None else [public, ownership.listen()]
    if sys.platform != "win32":
        code = _run_gunicorn(settings, sockets, tls, ownership, ready=ready, stopping=stopping)
    else:
        code = _run_alone(settings, sockets, tls, ownership, ready=ready, stopping=stopping)
    public.close()
    if code == 0:
        log.info("stopped")
    return code


def _run_gunicorn(
    settings: Settings,
    sockets: Sequence[socket.socket],
    tls: Certificate | None,
    ownership: Ownership | None,
    *,
    ready: Callable[[], None],
    stopping: Callable[[], None],
) -> int:
    from mcp_memory.http.gunicorn_server import GunicornServer  # noqa: PLC0415  (not on Windows)

    def build(gunicorn: GunicornServer, server: Server) -> ASGIApp:
        return _application(settings, server, ownership, gunicorn.shared.report_failure)

    server = GunicornServer(
        settings,
        sockets,
        limits=connection_limits(settings.http_max_connections),
        tls=tls,
        build_app=build,
        on_ready=ready,
        on_stopping=stopping,
    )
    # The master's copy would go on taking connections that no worker answers any more while they drain.
    sockets[0].close()
    return server.serve()


def _run_alone(
    settings: Settings,
    sockets: Sequence[socket.socket],
    tls: Certificate | None,
    ownership: Ownership | None,
    *,
    ready: Callable[[], None],
    stopping: Callable[[], None],
) -> int:
    import uvicorn  # noqa: PLC0415  (gunicorn's master imports it by itself)

    from mcp_memory.http.uvicorn_server import Server, uvicorn_options  # noqa: PLC0415

    limits = connection_limits(settings.http_max_connections)
    config = uvicorn.Config("", log_config=None, **uvicorn_options(settings.graceful_timeout, limits, tls))
    server = Server(config, on_ready=ready, on_stopping=stopping)
    failures: list[int] = []
    config.app = _application(settings, server, ownership, failures.append)
    try:
        # uvicorn closes the sockets it is given; the ownership's stays its own.
        server.run(sockets=[sock.dup() for sock in sockets])
    except SystemExit as end:
        return failures[0] if failures else int(bool(end.code))
    return 0


def _application(
    settings: Settings, server: Server, ownership: Ownership | None, on_failure: Callable[[int], None]
) -> ASGIApp:
    """Built in the process that serves: gunicorn's master imports none of this."""
    from mcp_memory.http.startup import PlainStartup, failing  # noqa: PLC0415

    try:
        from mcp_memory.http.app import create_app  # noqa: PLC0415
    except ImportError as error:
        return PlainStartup(failing(error), on_failure=on_failure)

    state = _owner_state(settings, ownership, server) if ownership is not None else None
    app = create_app(settings, owner=state)
    if state is not None:
        state.storage = lambda: app.state.container
    if ownership is not None and sys.platform == "win32":
        from mcp_memory.owner.token import TokenDoor  # noqa: PLC0415

        return PlainStartup(TokenDoor(app, ownership.token, alone=False), on_failure=on_failure)
    return PlainStartup(app, on_failure=on_failure)


def _owner_state(settings: Settings, ownership: Ownership, server: Server) -> OwnerState:
    from mcp_memory.owner.gate import OwnerState  # noqa: PLC0415
    from mcp_memory.owner.maintenance import LeaseFile  # noqa: PLC0415
    from mcp_memory.owner.record import OwnerKind  # noqa: PLC0415

    background = ownership.kind is OwnerKind.BACKGROUND
    return OwnerState(
        ownership.kind,
        LeaseFile(ownership.store.paths.maintenance),
        storage=_not_open,
        stop=server.stop if background else None,
        connections=lambda: server.connections,
        watches=settings.workers > 1,
    )


def _not_open() -> NoReturn:
    raise RuntimeError("The storage isn't open yet.")
