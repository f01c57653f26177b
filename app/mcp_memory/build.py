"""What this installation is made of, for /api/health/detailed, /metrics and `doctor`."""

from __future__ import annotations

import json
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

from mcp_memory import __version__

_PARTS = ("qdrant-edge-py", "qdrant-client", "onnxruntime", "fastapi", "mcp")


@cache
def build_info() -> dict[str, str]:
    """Versions of this service, of Python and of the libraries that matter; the machine's architecture."""
    info = {"version": __version__, "python": platform.python_version(), "architecture": platform.machine()}
    stamp = files("mcp_memory") / "build.json"  # written when an image is built: revision and flavour
    if stamp.is_file():
        info |= {name: str(value) for name, value in json.loads(stamp.read_text("utf-8")).items()}
    for part in _PARTS:
        try:
            info[part.replace("-", "_")] = version(part)
        except PackageNotFoundError:
            continue
    return info
