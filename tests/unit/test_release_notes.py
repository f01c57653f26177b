"""What a release announces is its own part of the changelog, and nothing where there is none."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

notes = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "development" / "release_notes.py"))["notes"]
CHANGELOG = """# Changelog

## Unreleased

## 1.2.3 - 2027-01-05

### Added
- This.

## [1.2.2] - 2027-01-01
- That.
"""


def test_release_announces_its_own_part_alone() -> None:
    assert notes("1.2.3", CHANGELOG) == "### Added\n- This."
    assert notes("1.2.2", CHANGELOG) == "- That."


@pytest.mark.parametrize("version", ["1.2", "1.2.4", "2.2"])
def test_version_that_the_changelog_does_not_name_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match="says nothing about"):
        notes(version, CHANGELOG)
