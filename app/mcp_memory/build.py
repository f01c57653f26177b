"""What this installation is made of, for /api/health/detailed, /metrics and `doctor`."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from mcp_memory import __version__

_PARTS = ("qdrant-edge-py", "qdrant-client", "onnxruntime", "fastapi", "mcp")


@cache
def build_info() -> dict[str, str]:
    """Versions of this service, of Python and of the libraries that matter; the machine's architecture."""
    info = {"version": __version__, "python": platform.python_version(), "architecture": platform.machine()}
    for part in _PARTS:
        try:
            info[part.replace("-", "_")] = version(part)
        except PackageNotFoundError:
            continue
    return info
