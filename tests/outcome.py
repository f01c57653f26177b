"""How a test went, for the fixtures that it used: they show logs only of what failed."""

from __future__ import annotations

import pytest

FAILED = pytest.StashKey[bool]()


def failed(request: pytest.FixtureRequest) -> bool:
    """Whether the fixture's test failed, in its call or before it. Asked after the fixture's yield."""
    return bool(request.node.stash.get(FAILED, False))
