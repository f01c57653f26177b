"""Everything about the chart that needs its tools and no cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
NOT_ASKED = "tests of the chart run with `make test-chart`, which builds helm and the other tools first"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not (ROOT / ".chart-tools" / "bin" / "helm").exists():
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason=NOT_ASKED))
