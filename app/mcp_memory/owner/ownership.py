"""Owning a store: one process a folder, found by its record, spoken to over its socket."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from mcp_memory import __version__
from mcp_memory.domain.errors import StorageBusyError, StorageError, StorageLockedError
from mcp_memory.owner.handshake import ask_to_hand_over, pool_to
from mcp_memory.owner.identity import StoreIdentity
from mcp_memory.owner.lock import FileLock, Holder, read_holder
from mcp_memory.owner.maintenance import LeaseFile
from mcp_memory.owner.paths import OwnerPaths
from mcp_memory.owner.record import OwnerKind, OwnerRecord, read_record, withdraw_record, write_record

HANDOVER_SECONDS = 30.0
"""How long a background owner may take to drain before the one that asked gives up."""
_POLL_SECONDS = 0.02
_BACKLOG = 2048


class Ownership:
    """Held by the process that serves a store. Use it as a context manager, or call `release`.

    Order: `acquire` (before anything opens the storage), `listen`, `publish` once requests will be answered.
    """

    def __init__(self, store: StoreIdentity, kind: OwnerKind, lock: FileLock, start: FileLock) -> None:
        self.store = store
        self.kind = kind
        self._lock = lock
        self._start = start
        self._socket: socket.socket | None = None
        self._socket_path: Path | None = None
        self._token: str | None = None
        self._pid = os.getpid()

    @classmethod
    def acquire(cls, store: StoreIdentity, kind: OwnerKind, *, wait_seconds: float = 0.0) -> Self:
        """Become the owner of the store.

        A background owner that is there is asked to hand over, unless another background owner asks; then `wait_seconds`
        is how long it may take to go. Raises StorageLockedError, which names the folder and the process that has it, or
        StorageBusyError where maintenance has it.
        """
        paths = store.paths
        store.check_folder()
        paths.create_folder()
        lock, start = FileLock(paths.lock), FileLock(paths.start)
        takes_over = kind is not OwnerKind.BACKGROUND
        deadline = time.monotonic() + (HANDOVER_SECONDS if takes_over else wait_seconds)
        asked: set[int] = set()
        try:
            while True:
                if takes_over:
                    start.try_acquire()  # so that no client brings up a background owner before we are ready
                if lock.try_acquire():
                    break
                if not _will_go(paths, for_client=not takes_over) or time.monotonic() >= deadline:
                    raise locked_error(paths)
                if takes_over:
                    _ask_once(paths, asked)
                time.sleep(_POLL_SECONDS)  # a lock file has no event to wait for that could also time out
        except BaseException:
            start.release()
            raise
        lease = LeaseFile(paths.maintenance).current()
        if lease is not None and kind is not OwnerKind.MAINTENANCE:
            start.release()
            lock.release()
            raise lease.busy()
        lock.describe(Holder(pid=os.getpid(), kind=kind.value, command=command_line(), since=_now()))
        withdraw_record(paths)  # of an owner that died
        return cls(store, kind, lock, start)

    def listen(self) -> socket.socket:
        """The socket that local clients connect to, bound and listening, 0600.

        Those who connect before the service accepts wait in its backlog.
        """
        if self._socket is not None:
            return self._socket
        if sys.platform == "win32":
            self._token = secrets.token_urlsafe(32)
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.bind(("127.0.0.1", 0))
        else:
            path = self.store.paths.socket()
            path.unlink(missing_ok=True)  # left by an owner that died: the lock says that nobody listens there
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            before = os.umask(0o177)
            try:
                sock.bind(os.fspath(path))
            except OSError as error:
                sock.close()
                raise StorageError(f"Can't listen on {path}: {error.strerror}.") from error
            finally:
                os.umask(before)
            self._socket_path = path
        sock.listen(_BACKLOG)
        self._socket = sock
        return sock

    @property
    def token(self) -> str:
        """What clients must send where the socket is a TCP port (Windows)."""
        self.listen()
        return self._token or ""

    def publish(self, *, tcp: str | None = None) -> OwnerRecord:
        """Write the record that clients look for. `tcp` is the URL of the public address, if any."""
        record = OwnerRecord(
            pid=os.getpid(),
            kind=self.kind,
            version=__version__,
            model=self.store.model,
            fingerprint=self.store.fingerprint,
            address=self._address(),
            started_at=_now(),
            token=self._token,
            tcp=tcp,
        )
        write_record(self.store.paths, record)
        self._start.release()
        return record

    def withdraw(self) -> None:
        """Take the record away: clients that come now look for another owner. The first step of an orderly end."""
        if os.getpid() == self._pid and self._lock.held:
            withdraw_record(self.store.paths)

    def release(self) -> None:
        """Remove record and socket, then give the folder back. Safe to call twice; nothing happens in forked children."""
        if os.getpid() != self._pid or not self._lock.held:
            return
        self.withdraw()
        if self._socket_path is not None:
            self._socket_path.unlink(missing_ok=True)
        if self._socket is not None:
            self._socket.close()
        self._start.release()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _address(self) -> str:
        sock = self.listen()
        if self._socket_path is not None:
            return f"unix:{self._socket_path}"
        host, port = sock.getsockname()[:2]
        return f"tcp:{host}:{port}"


def locked_error(paths: OwnerPaths) -> StorageLockedError | StorageBusyError:
    """Why the folder can't be had: names it, the process that holds it, and what to do."""
    holder, record = read_holder(paths.lock), read_record(paths.record)
    if holder is None:
        return StorageLockedError(f"The memory store {paths.folder} is in use by another process.")
    if holder.kind == OwnerKind.MAINTENANCE:
        return StorageBusyError(
            f"The memory store {paths.folder} is under maintenance by process {holder.pid} ({holder.command}) "
            f"since {holder.since}. Try again when it has ended.",
            retry_after=5.0,
        )
    where = f", at {record.tcp}" if record is not None and record.tcp and record.pid == holder.pid else ""
    return StorageLockedError(
        f"The memory store {paths.folder} is in use by process {holder.pid} ({holder.command}), "
        f"since {holder.since}{where}.\n"
        f"Use that one (`memory mcp` and the other commands do), or end it first:  kill {holder.pid}\n"
        "Another store is chosen by MCP_QDRANT_STORAGE_PATH."
    )


def _will_go(paths: OwnerPaths, *, for_client: bool) -> bool:
    """Whether the lock will be free soon.

    Its holder was killed, and the workers that inherited the lock end within a second. Or it is a background owner that ends:
    since we will ask it to or, `for_client`, since it is going already (it has withdrawn its record) or not yet there.
    """
    holder, record = read_holder(paths.lock), read_record(paths.record)
    if holder is not None and not _alive(holder.pid):
        return True
    if holder is not None and holder.kind != OwnerKind.BACKGROUND:
        return False
    serves = holder is not None and record is not None and record.pid == holder.pid
    return not (for_client and serves)


def _alive(pid: int) -> bool:
    """Whether a process has this id. On Windows, where locks aren't inherited, the holder of one is alive."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def _ask_once(paths: OwnerPaths, asked: set[int]) -> None:
    record = read_record(paths.record)
    if record is not None and record.pid not in asked and asyncio.run(_ask(record)):
        asked.add(record.pid)


async def _ask(record: OwnerRecord) -> bool:
    pool = pool_to(record)
    try:
        return await ask_to_hand_over(pool, reason=f"{command_line()} takes over", takes_over=True)
    finally:
        await pool.close()


def command_line() -> str:
    """This process as a person would type it; no command of ours takes a secret as an argument."""
    name = Path(sys.argv[0]).name
    program = "memory" if name in {"__main__.py", "-m", "-c"} else name
    return " ".join([program, *sys.argv[1:]])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
