"""What the service answers while its storage is away, and patience until it answers otherwise."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import httpx

OPEN = re.compile(r"Circuit breaker OPEN - Qdrant unavailable\. Retry after \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
"""The guide's sentence."""
PATIENCE = 60.0


def until(condition: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
    """Fails where it isn't so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen in {seconds:.0f} s"
        time.sleep(0.05)


def error_of(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message."""
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]
