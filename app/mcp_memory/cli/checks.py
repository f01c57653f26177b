"""What `memory doctor` looks at without touching the store: settings, machine, libraries, folder, owner."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from mcp_memory.addresses import shown_url, without_userinfo
from mcp_memory.cli.findings import Finding, Verdict
from mcp_memory.config import Backend, Settings, names_of, variables
from mcp_memory.domain.errors import MemoryServiceError
from mcp_memory.original_settings import without_effect
from mcp_memory.owner.identity import StoreIdentity
from mcp_memory.owner.lock import FileLock, read_holder
from mcp_memory.owner.record import read_record
from mcp_memory.preflight import START_CHECKS
from mcp_memory.sizes import size
from mcp_memory.system.owners import other_users, owner_of, user_name


def settings_given(settings: Settings) -> Finding:
    """Which settings differ from their defaults; secrets are named, never shown."""
    given = []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if value != field.get_default(call_default_factory=True, validated_data={}):
            given.append(f"{names_of(field)[0]}={_shown(value)}")
    return Finding("Settings", Verdict.OK, ", ".join(given) or "all at their defaults")


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "(set)"
    text = ",".join(value) if isinstance(value, list) else str(getattr(value, "value", value))
    return without_userinfo(",".join(map(shown_url, text.split(",")))) if "://" in text else text


def start_checks(settings: Settings) -> Iterator[Finding]:
    """What would end the start of a server with these settings: the start's own checks, each in its words."""
    for name, check in START_CHECKS:
        if name == "Libraries":
            continue  # looked at before the settings
        try:
            check(settings)
        except MemoryServiceError as error:
            yield Finding(name, Verdict.FAILED, error.message)
    for notice in without_effect(variables()):
        yield Finding("Settings", Verdict.WARNING, notice)


def folder(settings: Settings, store: StoreIdentity) -> Iterator[Finding]:
    """The embedded store's folder: mode, owner, format, space."""
    if settings.qdrant_url is not None or settings.backend is not Backend.QDRANT:
        return
    from mcp_memory.storage.qdrant_embedded.folder import StorageFolder  # noqa: PLC0415 - of this backend only

    path = store.folder
    if not path.exists():
        yield Finding("Folder", Verdict.OK, f"{path} (not made yet)")
        return
    problem: MemoryServiceError | None = None
    try:
        found = StorageFolder(path).look()
    except MemoryServiceError as error:
        problem = error
    yield _folder(path, ours=problem is None or StorageFolder(path).ours)
    if problem is not None:
        yield Finding("Format", Verdict.FAILED, problem.message)
    else:
        model = f"format {found.format}, {found.model.name}, {found.model.dimensions} dimensions" if found else "empty"
        yield Finding("Format", Verdict.OK, model)
    yield _space(path, settings.disk_reserve_bytes)


def _folder(path: Path, *, ours: bool) -> Finding:
    """Whose the folder is and who can open it; of one that isn't a store's nothing is advised but to leave it alone."""
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if sys.platform == "win32" or not ours:
        return Finding("Folder", Verdict.OK, f"{path} (mode {mode:04o})")
    if status.st_uid != os.geteuid():
        detail, _, advice = other_users(path, status.st_uid).partition("\n")
        return Finding("Folder", Verdict.FAILED, detail, advice)
    left = [entry for entry in (*path.glob("*"), *path.glob("generations/*")) if owner_of(entry) != status.st_uid]
    if left:
        who = owner_of(left[0])
        detail = f"{left[0]} belongs to user {user_name(who) if who is not None else 'unknown'}, not to the folder's"
        advice = f"sudo chown -R {user_name(status.st_uid)} {shlex.quote(str(path))}"
        return Finding("Folder", Verdict.FAILED, detail, advice)
    if mode & 0o077:
        detail = f"{path} can be opened by others (mode {mode:04o})"
        return Finding("Folder", Verdict.WARNING, detail, f"chmod 0700 {path}")
    return Finding("Folder", Verdict.OK, f"{path} (mode {mode:04o})")


def other_accounts(settings: Settings) -> Iterator[Finding]:
    """A loopback address is open to every account of the machine: a warning where others exist and no key keeps them out."""
    if sys.platform == "win32" or settings.api_key is not None or settings.generated_key_file is not None:
        return
    others = people(os.geteuid())
    if others:
        yield Finding(
            "Accounts",
            Verdict.WARNING,
            f"without a key a memory server answers every account of this machine ({', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''}), with all memories",
            "Set a key for it:  export MCP_API_KEY=$(openssl rand -hex 32)",
        )


def people(me: int) -> list[str]:
    """Names of other accounts that somebody may log in to."""
    import pwd  # noqa: PLC0415 - not on Windows

    closed = ("nologin", "false", "sync", "halt", "shutdown")
    return [
        entry.pw_name
        for entry in pwd.getpwall()
        if entry.pw_uid not in (me, 0) and 1000 <= entry.pw_uid < 60_000 and not entry.pw_shell.endswith(closed)
    ]


def _space(path: Path, reserve: int) -> Finding:
    room = os.statvfs(path) if hasattr(os, "statvfs") else None
    if room is None:
        return Finding("Space", Verdict.OK, "not known on this platform")
    free = room.f_bavail * room.f_frsize
    if free < reserve:
        advice = "Free some space, or set MCP_QDRANT_STORAGE_PATH to a folder on a larger disk."
        return Finding(
            "Space", Verdict.FAILED, f"{size(free)} free, {size(reserve)} are kept back: writes are refused", advice
        )
    return Finding("Space", Verdict.OK, f"{size(free)} free")


def owner(store: StoreIdentity) -> Finding:
    """Who has the store now, without starting anybody."""
    paths = store.paths
    if not paths.lock.exists():
        return Finding("Owner", Verdict.OK, "none (the first client starts one)")
    lock = FileLock(paths.lock)
    if lock.try_acquire():
        lock.release()
        return Finding("Owner", Verdict.OK, "none (the first client starts one)")
    holder, record = read_holder(paths.lock), read_record(paths.record)
    if holder is None or record is None or record.pid != holder.pid:
        who = f"process {holder.pid} ({holder.command})" if holder else "another process"
        return Finding("Owner", Verdict.WARNING, f"{who} has the store and is starting, ending, or doing maintenance")
    detail = f"process {record.pid} ({record.kind}, version {record.version}) since {record.started_at}"
    where = f", at {record.tcp}" if record.tcp else ""
    if record.fingerprint != store.fingerprint:
        advice = "Give both the same settings: MCP_EMBEDDING_MODEL, MCP_EMBEDDING_PROVIDER, ..."
        return Finding("Owner", Verdict.WARNING, f"{detail}{where}, with other settings: model {record.model}", advice)
    return Finding("Owner", Verdict.OK, detail + where)
