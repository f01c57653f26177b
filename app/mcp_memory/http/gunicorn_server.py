"""gunicorn as this service runs it: a slim master that holds the sockets, and workers that import and open everything."""

from __future__ import annotations

import gc
import logging
import mmap
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gunicorn import glogging
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from uvicorn_worker import UvicornWorker

from mcp_memory.config import Settings
from mcp_memory.http.descriptors import ConnectionLimits
from mcp_memory.http.tls import Certificate
from mcp_memory.http.uvicorn_server import CANCEL_SECONDS, Server, uvicorn_options

WORKER_SECONDS = 180
"""A worker that hasn't reported for this long is replaced. Loading a model on a slow ARM machine takes over 30 s."""
_READY, _EXIT_CODE = 0, 1


class Shared:
    """Two bytes that master and workers share: whether a worker serves, and why one could not start."""

    def __init__(self) -> None:
        self._bytes = mmap.mmap(-1, 2)

    def report_ready(self) -> None:
        """Called in a worker; SIGCHLD makes the master look."""
        self._bytes[_READY] = 1
        os.kill(os.getppid(), signal.SIGCHLD)

    def report_failure(self, exit_code: int) -> None:
        self._bytes[_EXIT_CODE] = exit_code

    @property
    def ready(self) -> bool:
        return self._bytes[_READY] == 1

    @property
    def exit_code(self) -> int:
        """0 while no worker has failed to start for a reason it could name."""
        return self._bytes[_EXIT_CODE]


class Logger(glogging.Logger):  # type: ignore[misc]
    """Leaves handlers and format to logs.py. What follows from a failed start isn't told after its reason."""

    shared: Shared | None = None

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.propagate = True
        self.access_log.propagate = True
        self.loglevel = self.error_log.getEffectiveLevel()

    def error(self, msg: str, *args: Any, **kwargs: Any) -> None:
        if self.shared is None or not self.shared.exit_code:
            super().error(msg, *args, **kwargs)


class Worker(UvicornWorker):  # type: ignore[misc]
    """uvicorn inside gunicorn, with our options and signals."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        master = args[3]
        self._gunicorn: GunicornServer = master
        self.CONFIG_KWARGS = uvicorn_options(master.drain_seconds, master.limits, master.tls)
        super().__init__(*args, **kwargs)
        for name in ("uvicorn.error", "uvicorn.access"):
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [], True
            logger.setLevel(logging.getLogger("gunicorn.error").getEffectiveLevel())
            logger.addFilter(lambda record: not record.getMessage().startswith("Application startup failed"))

    async def _serve(self) -> None:
        gunicorn = self._gunicorn
        server = Server(self.config, parent=self.ppid, on_ready=gunicorn.shared.report_ready)
        self.config.app = gunicorn.build_app(gunicorn, server)
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


class Master(Arbiter):  # type: ignore[misc]
    """The arbiter; tells when the first worker serves, and when the end begins. Sockets are removed by who bound them."""

    def start(self) -> None:
        super().start()
        self.systemd = True  # "these sockets are not yours to unlink"

    def spawn_worker(self) -> int:
        """Fork a worker. In the worker this never returns: the callers' frames, with what they clean up, are the master's."""
        master = os.getpid()
        gc.collect()
        gc.freeze()  # a worker's collections would copy every page that they look at: 5 MB
        try:
            return int(super().spawn_worker())
        except SystemExit as end:
            if os.getpid() == master:
                raise
            logging.shutdown()
            os._exit(end.code if isinstance(end.code, int) else 1)

    def manage_workers(self) -> None:
        super().manage_workers()
        self.app.look()

    def stop(self, graceful: bool = True) -> None:
        self.app.on_stopping()
        super().stop(graceful)


class GunicornServer(BaseApplication):  # type: ignore[misc]
    """Serves an application on given sockets until SIGTERM, SIGINT or a failed start."""

    def __init__(
        self,
        settings: Settings,
        sockets: Sequence[socket.socket],
        *,
        limits: ConnectionLimits,
        tls: Certificate | None,
        build_app: Callable[[GunicornServer, Server], Any],
        on_ready: Callable[[], None],
        on_stopping: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.limits = limits
        self.tls = tls
        self.build_app = build_app
        self.on_stopping = on_stopping
        self.shared = Shared()
        self._on_ready: Callable[[], None] | None = on_ready
        # gunicorn closes the descriptors it is given; the sockets stay their makers'.
        self._bind = [f"fd://{os.dup(sock.fileno())}" for sock in sockets]
        super().__init__()

    def load_config(self) -> None:
        options = {
            "bind": self._bind,
            "backlog": self.limits.backlog,
            "workers": self.settings.workers,
            "worker_class": Worker,
            "logger_class": Logger,
            "timeout": WORKER_SECONDS,
            "graceful_timeout": self.settings.graceful_timeout,
            "umask": 0o077,
            "control_socket_disable": True,
            "preload_app": False,
            "proc_name": "mcp-memory",
            "worker_tmp_dir": _heartbeat_folder(),
            "child_exit": _forget_metrics,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    @property
    def drain_seconds(self) -> float:
        """What requests have to finish: the rest of the time-out, after which the worker is killed, is for the end itself."""
        seconds = float(self.settings.graceful_timeout)
        return seconds - min(2 * CANCEL_SECONDS, seconds / 2)

    def load(self) -> None:
        """The worker builds the application itself, when it has a loop."""

    def look(self) -> None:
        """In the master, whenever something happened: tell once that the first worker serves."""
        if self.shared.ready and self._on_ready is not None:
            on_ready, self._on_ready = self._on_ready, None
            on_ready()

    def serve(self) -> int:
        """Serve until the end; the process's exit code."""
        Logger.shared = self.shared
        metrics = _metrics_folder(self.settings.workers)
        try:
            Master(self).run()
        except SystemExit as end:
            if isinstance(end.code, int) and end.code:
                return self.shared.exit_code or 1
        finally:
            if metrics is not None:
                shutil.rmtree(metrics, ignore_errors=True)
        return 0


def _heartbeat_folder() -> str | None:
    """Memory rather than disk, also where the root file system is read-only."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def _metrics_folder(workers: int) -> Path | None:
    """With several workers their metrics meet in files; made before the first of them starts."""
    if workers == 1:
        return None
    folder = Path(tempfile.mkdtemp(prefix="mcp-memory-metrics-"))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    return folder


def _forget_metrics(_: object, worker: Any) -> None:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415  (not needed by a single worker)

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
