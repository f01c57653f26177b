"""Who is at the other end of a local socket: the kernel tells, whatever the socket's file says."""

from __future__ import annotations

import os
import platform
import socket
import struct
import sys
from collections.abc import Callable
from typing import Protocol

from mcp_memory.domain.errors import StorageError

_LOCAL_PEERCRED = 1
"""macOS: struct xucred of the peer, at level 0."""


class ConnectedSocket(Protocol):
    """What asyncio and the socket module have in common."""

    @property
    def family(self) -> int: ...

    def getsockopt(self, level: int, option: int, length: int, /) -> bytes: ...


def peer_uid(connection: ConnectedSocket) -> int | None:
    """The user of the process that listens at the other end; None where the platform doesn't tell."""
    asked = getattr(socket, "SO_PEERCRED", None)
    if asked is not None:
        return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, asked, 12))[1])
    if platform.system() == "Darwin":
        return int(struct.unpack_from("II", connection.getsockopt(0, _LOCAL_PEERCRED, 76))[1])
    return None


def check_peer(
    connection: ConnectedSocket, path: str, *, uid_of: Callable[[ConnectedSocket], int | None] = peer_uid
) -> None:
    """Raises StorageError before a word is said where another user listens: whoever can swap a socket gets nothing by it."""
    if sys.platform == "win32":
        return
    uid = uid_of(connection)
    if uid is not None and uid != os.geteuid():
        raise StorageError(
            f"The socket {path} is answered by a process of user {uid}, this is user {os.geteuid()}: nothing was said to it.\n"
            f"Run this as that user, or end that process and remove the socket:  rm '{path}'"
        )
