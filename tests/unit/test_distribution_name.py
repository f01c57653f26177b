"""This service is installed under its own name, and nothing tells a user to install another's."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

from mcp_memory.native import DISTRIBUTION

ROOT = Path(__file__).resolve().parents[2]
OTHERS = re.compile(
    r"(?:pip3? install|pipx \w+|uvx|uv add|uv tool \w+|uv pip \w+|--upgrade-package)(?:[^\n`]*?[\s'\"]|[\s'\"])"
    r"(mcp-memory(?:-server|-service)?)(?:\[[a-z,]*\])?(?=[\s'\"`=><~)]|$)"
)
PAGE = re.compile(r"pypi\.org/(?:project|p)/mcp-memory(?!-qdrant|-service)")
FOLDERS = ("app", "docs", "scripts", "docker", "compose", "deploy", ".github", "helm")


def test_the_distribution_is_ours() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == DISTRIBUTION == "mcp-memory-qdrant"
    assert set(project["scripts"]) == {"memory", "mcp-memory-server", "memory-server"}
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    assert {each["name"] for each in lock["package"] if "editable" in each["source"]} == {DISTRIBUTION}


def test_nothing_tells_a_user_to_install_a_name_that_is_not_ours() -> None:
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*") if file.is_file()]
    for file in [*files, *ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "pyproject.toml"]:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found = OTHERS.search(text) or PAGE.search(text)
        assert found is None, f"{file}: {found[0] if found else ''}"


@pytest.mark.parametrize(
    "line",
    [
        "pip install mcp-memory",
        'uv pip install "mcp-memory[torch]"',
        "uvx mcp-memory-server",
        "pipx install mcp-memory-service",
    ],
)
def test_such_a_line_would_be_found(line: str) -> None:
    assert OTHERS.search(line)
    assert not OTHERS.search(re.sub(r"mcp-memory(-serv\w+)?", DISTRIBUTION, line))


def test_the_modules_of_the_original_start_the_service(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mcp_memory_service.server", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("memory ")


def test_the_original_goes_first_where_it_is_installed(tmp_path: Path) -> None:
    theirs = tmp_path / "mcp_memory_service"
    theirs.mkdir()
    (theirs / "__init__.py").write_text("")
    (theirs / "server.py").write_text("print('the original')")
    ours = Path(str(distribution(DISTRIBUTION).locate_file("")))
    (tmp_path / "mcp_memory_service.py").write_bytes((ROOT / "app" / "mcp_memory_service.py").read_bytes())
    assert ours.is_dir()
    done = subprocess.run(
        [sys.executable, "-m", "mcp_memory_service.server"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout == "the original\n"
