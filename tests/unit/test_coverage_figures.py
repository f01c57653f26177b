"""The floor of `make coverage` is one of lines, and counts every file of the package."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "development" / "coverage_figures.py"))


def summary(lines: int, run: int, branches: int, taken: int) -> dict[str, Any]:
    return {
        "summary": {"num_statements": lines, "covered_lines": run, "num_branches": branches, "covered_branches": taken}
    }


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Nine lines in ten, and hardly a branch."""
    files = {
        "app/mcp_memory/config.py": summary(50, 50, 0, 0),
        "app/mcp_memory/storage/base.py": summary(30, 25, 10, 1),
        "app/mcp_memory/storage/sqlite_vec/index.py": summary(20, 15, 10, 0),
    }
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps({"files": files}))
    return path


def test_files_are_added_up_by_package(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SCRIPT["main"](str(report), "0")
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| mcp_memory | 50 | 100.0 % | 0 | 100.0 % |",
        "| storage/ | 50 | 80.0 % | 20 | 5.0 % |",
        "| **all** | 100 | 90.0 % | 20 | 5.0 % |",
    ]


def test_floor_is_of_lines_alone(report: Path) -> None:
    SCRIPT["main"](str(report), "90")
    with pytest.raises(SystemExit, match=r"^90\.0 % of the lines of app/ ran, 90\.1 % must"):
        SCRIPT["main"](str(report), "90.1")
