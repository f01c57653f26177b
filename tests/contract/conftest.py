"""Every promise of BaseStorage, asked of every backend: one more in storage_backends.BACKENDS joins the whole suite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mcp_memory.storage.base import BaseStorage
from storage_backends import BACKENDS, LASTING, opened


@pytest.fixture(params=BACKENDS)
async def storage(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[BaseStorage]:
    """An empty storage, open."""
    async with opened(BACKENDS[request.param], tmp_path) as storage:
        yield storage


@pytest.fixture(params=LASTING)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], BaseStorage]:
    """Each call builds a storage over the same data; the test opens and closes it."""
    return lambda: LASTING[request.param](tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Over a network the suite takes minutes: `make test` asks every backend, `make test-fast` leaves out gRPC and clusters."""
    for item in items:
        if any(f"[{name}" in item.name or f"-{name}]" in item.name for name in ("server-grpc", "cluster")):
            item.add_marker(pytest.mark.slow)
