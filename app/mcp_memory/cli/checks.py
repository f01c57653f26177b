"""What `memory doctor` looks at without touching the store: settings, machine, libraries, folder, owner."""

from __future__ import annotations

import os
import platform
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from pydantic import SecretStr

from mcp_memory import __version__
from mcp_memory.cli.output import size
from mcp_memory.config import Backend, Settings
from mcp_memory.domain.errors import MemoryServiceError
from mcp_memory.owner.identity import StoreIdentity
from mcp_memory.owner.lock import FileLock, read_holder
from mcp_memory.owner.record import read_record
from mcp_memory.system.owners import other_users, owner_of, user_name


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `advice` is what to do about it."""

    name: str
    verdict: Verdict
    detail: str
    advice: str | None = None


NATIVE = (
    "qdrant-edge-py",
    "onnxruntime",
    "tokenizers",
    "numpy",
    "pydantic-core",
    "orjson",
    "msgspec",
    "apsw",
    "sqlite-vec",
)
"""Distributions with compiled code that the service can't do without."""
_MACHINES = {"x86_64": 62, "amd64": 62, "aarch64": 183, "arm64": 183}
"""e_machine of the ELF header."""


def settings_given(settings: Settings) -> Finding:
    """Which settings differ from their defaults; secrets are named, never shown."""
    given = []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if value != field.get_default(call_default_factory=True, validated_data={}):
            given.append(
                f"{_variable(field.validation_alias)}={'(set)' if isinstance(value, SecretStr) else _shown(value)}"
            )
    return Finding("Settings", Verdict.OK, ", ".join(given) or "all at their defaults")


def _shown(value: object) -> str:
    return str(getattr(value, "value", value))


def _variable(alias: object) -> str:
    return str(getattr(alias, "choices", [alias])[0])


def machine() -> Finding:
    page = f", pages of {os.sysconf('SC_PAGE_SIZE') // 1024} kB" if hasattr(os, "sysconf") else ""
    detail = f"memory {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}{page}"
    if sys.maxsize <= 2**32:
        return Finding("Machine", Verdict.FAILED, detail, "Install a 64-bit Python: the engine has no 32-bit build.")
    return Finding("Machine", Verdict.OK, detail)


def native_libraries() -> Finding:
    """Every compiled file of the libraries is made for this machine: a wheel once shipped a 32-bit one for ARM64."""
    wrong: list[str] = []
    missing: list[str] = []
    number = 0
    for name in NATIVE:
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            missing.append(name)
            continue
        for file in files:
            if ".so" in file.suffixes:
                number += 1
                problem = elf_problem(Path(str(file.locate())))
                if problem is not None:
                    wrong.append(f"{file}: {problem}")
    if missing:
        return Finding("Libraries", Verdict.FAILED, f"not installed: {', '.join(missing)}", "Install again:  uv sync")
    if wrong:
        return Finding("Libraries", Verdict.FAILED, "; ".join(wrong), "Install a fixed version:  uv sync --upgrade")
    return Finding("Libraries", Verdict.OK, f"{number} compiled files, all made for {platform.machine()}")


def elf_problem(path: Path) -> str | None:
    """What is wrong with a compiled file for this process, or None; other formats than ELF are not looked into."""
    with path.open("rb") as file:
        head = file.read(20)
    if head[:4] != b"\x7fELF":
        return None
    if head[4] != (2 if sys.maxsize > 2**32 else 1):
        return f"ELFCLASS{32 if head[4] == 1 else 64}, this Python is {64 if sys.maxsize > 2**32 else 32}-bit"
    expected = _MACHINES.get(platform.machine().lower())
    machine_ = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    if expected is not None and machine_ != expected:
        return f"made for another processor (ELF machine {machine_}, this is {expected})"
    return None


def engine_loads() -> Finding:
    """In a process of its own: a library that doesn't fit may end the process that loads it."""
    code = "import qdrant_edge, onnxruntime; print(onnxruntime.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    if done.returncode == 0:
        return Finding("Engine", Verdict.OK, "qdrant-edge and ONNX Runtime load")
    why = (done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}"])[-1]
    return Finding("Engine", Verdict.FAILED, why, "Install again:  uv sync --reinstall")


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
