"""Starting an engine process, and saying how one ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from mcp_memory.storage.qdrant_embedded.folder import StorageFolder
from mcp_memory.storage.qdrant_embedded.options import MEBIBYTE, EmbeddedOptions, encode_options

MODULE = "mcp_memory.storage.qdrant_embedded.engine"
PACKAGE = MODULE.rpartition(".")[0].encode()
SECRET_PREFIXES = ("MCP_", "QDRANT_", "OPENAI_")
LOG_BYTES = MEBIBYTE
EX_TEMPFAIL = 75
"""The exit code of an engine that found the folder served by another."""


def start_process(module: str, arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """A Python process of its own session, without this one's settings and secrets in its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(SECRET_PREFIXES)}
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=fd,
            env=environment,
            close_fds=True,
            start_new_session=True,
        )
    finally:
        os.close(fd)
    # Reaped whenever it ends: it may outlive the client that started it, by serving others.
    threading.Thread(target=process.wait, name=f"reaper-{process.pid}", daemon=True).start()
    return process


def start_engine(options: EmbeddedOptions) -> subprocess.Popen[bytes]:
    """Start an engine; whether it becomes the one, the folder's lock decides."""
    log = StorageFolder(options.path).log
    with suppress(OSError):
        if log.stat().st_size > LOG_BYTES:
            log.replace(log.with_name("engine.log.1"))
    return start_process(MODULE, [encode_options(options)], log)


def is_engine(pid: int) -> bool:
    """Whether that process is an engine, or the successor of one; also where the platform doesn't tell by /proc."""
    try:
        return PACKAGE in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return not Path("/proc/self/cmdline").exists()


def describe_end(pid: int, code: int | None) -> str:
    """How an engine ended, in words."""
    if code is None:
        return f"the engine process {pid} closed the connection"
    if code < 0:
        with suppress(ValueError):
            return f"the engine process {pid} ended by signal {signal.Signals(-code).name}"
    return f"the engine process {pid} ended with exit code {code}"


def last_line(log: Path) -> str:
    """What an engine said last; for messages."""
    try:
        lines = log.read_bytes()[-4_096:].decode(errors="replace").strip().splitlines()
    except OSError:
        return "no log"
    return lines[-1][:300] if lines else "the log is empty"
