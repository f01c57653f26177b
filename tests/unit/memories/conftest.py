"""A world of its own for each test of the use cases."""

from __future__ import annotations

import pytest

from memory_world import World


@pytest.fixture
def world() -> World:
    return World()
