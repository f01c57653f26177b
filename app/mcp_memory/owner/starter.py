"""Bringing up an owner in the background: detached from the client that starts it, its readiness told over its stdout."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

from mcp_memory.domain import errors
from mcp_memory.domain.errors import MemoryServiceError, StorageBusyError, StorageLockedError, StorageUnavailableError
from mcp_memory.owner.identity import StoreIdentity
from mcp_memory.system.records import NO_LINK

COMMAND = (sys.executable, "-P", "-m", "mcp_memory.cli", "owner")
LOG_BYTES = 1_000_000


async def start_background_owner(
    store: StoreIdentity, *, deadline_seconds: float, command: Sequence[str] = COMMAND
) -> None:
    """Start an owner and return when it answers requests.

    Raises what it says went wrong, by the same class of error; StorageUnavailableError where it says nothing in time.
    A lock that somebody else took first is no error: the caller looks for that owner.
    """
    store.check_folder()
    store.paths.create_folder()
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()
    process = await asyncio.to_thread(_spawn, store, command)
    threading.Thread(target=_listen, args=(process, loop, answered), daemon=True).start()
    try:
        line = await asyncio.wait_for(answered, deadline_seconds)
    except TimeoutError:
        raise StorageUnavailableError(
            f"The background process that serves {store.folder} (process {process.pid}) did not get ready within "
            f"{deadline_seconds:.0f} s. What it says:  {store.paths.log}"
        ) from None
    error = _failure(line, process.pid, store)
    if error is not None and not isinstance(error, StorageLockedError):
        raise error


def _spawn(store: StoreIdentity, command: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = os.environ | dict(store.environment)
    with open_log(store) as log:
        if sys.platform == "win32":
            flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW | subprocess.DETACHED_PROCESS
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                creationflags=flags,
            )
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            cwd="/",  # so that no mounted folder is held
            umask=0o077,
            start_new_session=True,  # Ctrl-C in the client's terminal is not for the owner
        )


def open_log(store: StoreIdentity) -> IO[bytes]:
    """The background owner's log (0600), begun again when it has grown past LOG_BYTES; one older part is kept."""
    path = store.paths.log
    if path.is_file() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_LINK, 0o600), "ab")


def _listen(process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop, answered: asyncio.Future[bytes]) -> None:
    """Thread: read the one line, then wait for the end of the process, so that it never stays a zombie."""
    assert process.stdout is not None  # noqa: S101 - for the type checker: we asked for a pipe
    with process.stdout:
        line = process.stdout.readline()

    def tell() -> None:
        if not answered.done():
            answered.set_result(line)

    with suppress(RuntimeError):  # the client ended first; its owner lives on
        loop.call_soon_threadsafe(tell)
    process.wait()


def _failure(line: bytes, pid: int, store: StoreIdentity) -> MemoryServiceError | None:
    """The error in the owner's line, or None where it is ready."""
    try:
        report: dict[str, Any] = json.loads(line)
    except ValueError:
        return StorageUnavailableError(
            f"The background process that serves {store.folder} (process {pid}) ended before it was ready.\n"
            f"What it says:  {store.paths.log}\nor start it yourself to see why:  memory server"
        )
    if report.get("ready"):
        return None
    return rebuild(str(report.get("code")), str(report.get("message")))


def rebuild(code: str, message: str) -> MemoryServiceError:
    """An error as the owner raised it, from its machine-readable code and message."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, MemoryServiceError) and kind.code == code:
            error = kind.__new__(kind)
            MemoryServiceError.__init__(error, message)
            if isinstance(error, StorageBusyError):
                error.retry_after = 1.0
            return error
    return MemoryServiceError(message)
