"""Whose a folder is. What one user leaves in another's folder, root most of all, keeps that one out of it."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from mcp_memory.domain.errors import ConfigurationError

_NAMING = ("MCP_MEMORY_BASE_DIR", "MCP_QDRANT_STORAGE_PATH", "MCP_MEMORY_SQLITE_PATH", "MCP_MEMORY_SQLITEVEC_PATH")
"""Variables that say where a store is; `sudo` doesn't pass them on by itself."""


def refuse_other_users(path: Path) -> None:
    """Raises ConfigurationError, with the command to type, where `path` is another user's; root gets no exception.

    Where it isn't there yet, the folder above decides, but only under `sudo`: a container's root may well make its own there.
    """
    if sys.platform == "win32":
        return
    me, owner = os.geteuid(), owner_of(path)
    if owner is None:
        above = next((owner_of(folder) for folder in path.parents if owner_of(folder) is not None), None)
        owner = above if me == 0 and os.environ.get("SUDO_UID") else me
    if owner in (me, None):
        return
    raise ConfigurationError(other_users(path, owner))


def other_users(path: Path, owner: int) -> str:
    """That `path` is `owner`'s, and what to type instead."""
    me = os.geteuid() if sys.platform != "win32" else 0
    start = f"{path} belongs to user {user_name(owner)}, and this is user {user_name(me)}: nothing was changed there.\n"
    if owner == 0:
        return start + (
            f"Give it to this user, with the service stopped:  sudo chown -R {me}:{os.getegid()} {shlex.quote(str(path))}\n"
            'For the volume of a container, docs/install.md has the one command ("A volume that root made").'
        )
    name = user_name(owner)
    command = f"sudo -u {shlex.quote(f'#{owner}') if name == str(owner) else name} {this_command()}"
    given = [variable for variable in _NAMING if os.environ.get(variable)]
    note = f"\n(`sudo` passes no variables on by itself: --preserve-env={','.join(given)})" if given else ""
    return f"{start}Run it as that user:\n  {command}{note}"


def owner_of(path: Path) -> int | None:
    """The user whose `path` is; None where it can't be seen or isn't there."""
    try:
        return path.stat().st_uid
    except OSError:
        return None


def user_name(uid: int) -> str:
    """The user's name, or the number where it has none."""
    if sys.platform == "win32":
        return str(uid)
    import pwd  # noqa: PLC0415 - not on Windows

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def this_command() -> str:
    """This process as a person types it, so that it can be typed again."""
    name = Path(sys.argv[0]).name
    program = "memory" if name in {"__main__.py", "-m", "-c"} else name
    return shlex.join([program, *sys.argv[1:]])
