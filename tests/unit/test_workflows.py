"""CI's workflows run what everybody can run here: make targets and files of this repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_make_target_and_script_that_a_workflow_runs_is_there(workflow: Path) -> None:
    text = workflow.read_text()
    assert set(re.findall(r"run: make ([a-z-]+)", text)) <= targets()
    for script in re.findall(r"python3? ((?:docker|scripts)/\S+\.py)", text):
        assert (ROOT / script).is_file(), script


def test_every_image_that_ci_builds_has_tests_to_pass_first() -> None:
    publish = (ROOT / "docker" / "publish.py").read_text()
    named = set(re.findall(r'"(test-image[a-z-]*)"', publish))
    assert named
    assert named <= targets()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_nothing_is_permitted_at_first(workflow: Path) -> None:
    text = workflow.read_text()
    used = [line for line in re.findall(r"uses: (\S+.*)", text) if not line.startswith("./")]
    loose = [line for line in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)]
    assert not loose
    assert "\npermissions: {}\n" in text
