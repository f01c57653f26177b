"""structlog, imported without Rich.

Where Rich is installed structlog loads it, and Pygments, for tracebacks that our logs don't use: 0.15 s of every start.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """A package that isn't loaded yet can't be imported inside; None in sys.modules is the documented way to say so."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


with _absent("rich"):
    import structlog

__all__ = ["structlog"]
