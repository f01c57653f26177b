"""Scripts work from a clone without activating anything: where the running Python lacks this project, .venv's takes over."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def enter() -> None:
    """Return in a Python that has mcp_memory: this one, or by starting the same script again with that of .venv."""
    if importlib.util.find_spec("mcp_memory") is not None:
        return
    python = next(
        (path for path in (ROOT / ".venv/bin/python", ROOT / ".venv/Scripts/python.exe") if path.exists()), None
    )
    if python is None or Path(sys.prefix).resolve() == (ROOT / ".venv").resolve():
        sys.exit("This project isn't installed yet. Run this first, in its folder:\n  make setup")
    command = [str(python), *sys.argv]
    if os.name == "nt":  # execv there returns to the shell before the new process ends
        sys.exit(subprocess.call(command))
    os.execv(python, command)  # noqa: S606
