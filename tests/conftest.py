"""Fixtures that every suite shares."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from outcome import FAILED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """For fixtures that show logs of what failed."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, the loop that the service uses."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def home() -> Iterator[Path]:
    """A home of the run's own: no test sees, or leaves anything in, the store and caches of whoever runs it.

    Settings of the person's shell don't reach the tests either.
    """
    kept = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="memory-tests-", ignore_cleanup_errors=True) as folder:
        for name in kept:
            if name.startswith(("MCP_", "OPENAI_", "QDRANT_ON_DISK", "QDRANT_API")) or name in {
                "LOG_LEVEL",
                "WEB_CONCURRENCY",
            }:
                del os.environ[name]
        for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
            os.environ.pop(name, None)
        os.environ.setdefault("DOCKER_CONFIG", str(Path.home() / ".docker"))  # where the client's plugins are
        os.environ["HOME"] = os.environ["USERPROFILE"] = folder
        yield Path(folder)
    os.environ.clear()
    os.environ.update(kept)
