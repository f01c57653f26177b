"""The real server, started once for the tests of a module that only add to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.memory_server import MemoryServer, memory_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryServer]:
    """`memory server` with an empty store and no key."""
    with memory_server(tmp_path_factory.mktemp("server")) as running:
        yield running
