"""The chart knows every setting as it is: a value that the service would ignore is refused by its schema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_schema_of_the_chart_is_what_its_values_and_the_settings_say() -> None:
    script = ROOT / "scripts" / "development" / "make_values_schema.py"
    command = [sys.executable, script, ROOT / "helm" / "mcp-memory", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
