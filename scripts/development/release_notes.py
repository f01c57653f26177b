#!/usr/bin/env python3
"""Print a release's part of CHANGELOG.md; refuse where changelog and package don't both name that version.

usage: release_notes.py VERSION
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def notes(version: str, changelog: str) -> str:
    """What stands below `## [VERSION]` (or `## VERSION - DATE`). Raises ValueError where nothing does."""
    found = re.search(
        rf"^## \[?{re.escape(version)}\]?(?: [^\n]*)?$\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if found is None or not found[1].strip():
        raise ValueError(f'CHANGELOG.md says nothing about {version}: give "## Unreleased" that name and a date.')
    return found[1].strip()


def main(version: str) -> str:
    package = (ROOT / "app" / "mcp_memory" / "__init__.py").read_text()
    if f'__version__ = "{version}"' not in package:
        raise ValueError(f"app/mcp_memory/__init__.py names another version than {version}: change it, or the tag.")
    return notes(version, (ROOT / "CHANGELOG.md").read_text())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        print(main(sys.argv[1]))
    except ValueError as problem:
        sys.exit(str(problem))
