"""Where the owner of a store keeps its lock, its record, its socket and its log.

Every name begins with `owner.`, or is `maintenance.json`: a folder that holds nothing else is an empty store.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mcp_memory.domain.errors import StorageError

SOCKET_PATH_BYTES = 100
"""A Unix socket's path may have 107 bytes on Linux and 103 on macOS."""


@dataclass(frozen=True, slots=True)
class OwnerPaths:
    """Files of one storage folder's owner."""

    folder: Path

    @property
    def lock(self) -> Path:
        """Held by the owner while it lives."""
        return self.folder / "owner.lock"

    @property
    def start(self) -> Path:
        """Held by whoever is bringing up an owner, so that several clients start one, not several."""
        return self.folder / "owner.start"

    @property
    def record(self) -> Path:
        return self.folder / "owner.json"

    @property
    def spare(self) -> Path:
        """The record of an owner that has ended: its blocks are the next record's where the disk has no others."""
        return self.folder / "owner.spare"

    @property
    def maintenance(self) -> Path:
        return self.folder / "maintenance.json"

    @property
    def log(self) -> Path:
        """What a background owner writes to stderr."""
        return self.folder / "owner.log"

    def create_folder(self) -> None:
        """Make the folder (0700) where it is missing; what exists keeps its mode, which the storage checks."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"Can't create the storage folder {self.folder}: {error.strerror}.\n"
                "Set MCP_QDRANT_STORAGE_PATH to a folder that you may write to."
            ) from error

    def socket(self) -> Path:
        """The Unix socket's path: in the folder, or in the user's runtime folder where that would be too long."""
        path = self.folder / "owner.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
            return path
        return _runtime_folder() / self._name_elsewhere

    @property
    def _name_elsewhere(self) -> str:
        return f"{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]}.sock"

    def may_be_socket(self, path: Path) -> bool:
        """Whether `socket` of an owner of this folder, in whichever environment of this user, would choose this path."""
        if path == self.folder / "owner.sock":
            return True
        folder = path.parent
        return (
            path.name == self._name_elsewhere
            and path.is_absolute()
            and ".." not in path.parts
            and folder.name in {"mcp-memory", f"mcp-memory-{_uid()}"}
            and _is_private(folder)
        )


def _runtime_folder() -> Path:
    """A 0700 folder of this user for sockets. Raises StorageError where another user has taken its name."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")  # the platform's, not one of our settings
    parent = Path(runtime) if runtime and Path(runtime).is_dir() else None
    folder = parent / "mcp-memory" if parent else Path(tempfile.gettempdir()) / f"mcp-memory-{_uid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_private(folder):
        raise StorageError(
            f"{folder} should be a folder of yours that nobody else can open (0700), and isn't.\n"
            "Remove it, or set XDG_RUNTIME_DIR to a folder of your own."
        )
    return folder


def _is_private(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    if sys.platform == "win32":
        return stat.S_ISDIR(status.st_mode)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == _uid() and not stat.S_IMODE(status.st_mode) & 0o077


def _uid() -> int:
    return os.getuid() if sys.platform != "win32" else 0
