"""What an image costs to pull stays within its budget, on every architecture."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from engine import required

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
BUDGETS = {"TEST_IMAGE": 200, "TEST_TORCH_IMAGE": 750}
"""Compressed megabytes of one architecture, model inside. The service that this one replaces: 730."""
measure = runpy.run_path(str(Path(__file__).parents[2] / "docker" / "image_sizes.py"))["measure"]


@pytest.mark.parametrize("variable", BUDGETS)
def test_image_stays_within_its_budget(variable: str) -> None:
    sizes = {platform.architecture: platform.compressed_bytes / MEGABYTE for platform in measure(required(variable))}
    assert sizes
    assert not {arch: size for arch, size in sizes.items() if size > BUDGETS[variable]}, sizes


def test_architectures_differ_by_less_than_a_seventh() -> None:
    sizes = [platform.compressed_bytes for platform in measure(required("TEST_IMAGE"))]
    if len(sizes) < 2:
        pytest.skip("only one architecture is built here: `make images` builds both")
    assert max(sizes) / min(sizes) < 1.15
