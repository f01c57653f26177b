"""Every `memory` command that a message prints is one that the command line takes."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from mcp_memory.cli.app import app
from mcp_memory.cli.original_commands import INSTEAD, SAME, translated
from mcp_memory.domain.errors import ModelChangedError

SOURCE = Path(__file__).resolve().parents[3] / "app" / "mcp_memory"
PRINTED = re.compile(r"(?:^|:  |\n  |`|= ?)(memory [a-z][a-z-]*(?: [^`\n]*)?)")
COMMANDS = typer.main.get_command(app)


def printed() -> list[str]:
    """Commands in texts of the code: behind two blanks, or on a line of their own. What is filled in stands as X."""
    found: set[str] = set()
    for file in SOURCE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            text = ""
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
                text = node.value
            elif isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
            found.update(match[1].strip() for match in PRINTED.finditer(text) if "  " in match[0] or "`" in match[0])
    return sorted(found)


def taken(command: str) -> None:
    """Fails where the command line doesn't know the command or an option of it."""
    words = shlex.split(re.split(r"  | && | \| | > ", command, maxsplit=1)[0].rstrip(".,;:)"))[1:]
    group: Any = COMMANDS
    while hasattr(group, "commands") and words:
        assert words[0] in group.commands, f"no command {words[0]} in {command}"
        group, words = group.commands[words[0]], words[1:]
    known = {name for each in group.params for name in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
    for word in words:
        assert not word.startswith("--") or word.split("=")[0].rstrip(".,;:)'`") in known, f"no {word} in {command}"


def test_the_code_prints_commands() -> None:
    assert len(printed()) > 10


@pytest.mark.parametrize("command", printed())
def test_a_printed_command_is_one(command: str) -> None:
    first = command.split()[1].rstrip(".,;:)")
    if first in {*INSTEAD, "alone"}:
        return  # named as the original's
    taken(command)


CHECKOUT = re.compile(r"uv (?:run|sync)|python scripts/|\.venv/bin|=\.\.\. |docker compose")
MADE_FOR_THIS_INSTALLATION = {"native.py"}
"""Chooses by how it was installed."""


def test_no_message_supposes_a_checkout_or_leaves_something_to_be_filled_in() -> None:
    """But for the guide's own model change message, behind which the installed command stands."""
    found = []
    for file in SOURCE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        docs = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if CHECKOUT.search(text) and id(node) not in docs and file.name not in MADE_FOR_THIS_INSTALLATION:
                found.append(f"{file.name}:{node.lineno}: {text.strip()}")
    allowed = ("python scripts/migration/migrate_to_new_model.py", "(or, in a clone, uv sync")
    assert [line for line in found if not any(each in line for each in allowed)] == []


def test_the_model_change_message_is_the_guides_and_then_the_installed_command() -> None:
    text = ModelChangedError(old_model="a b", new_model="c", old_dimensions=1, new_dimensions=2).message
    command = next(line.strip() for line in text.splitlines() if line.strip().startswith("memory migrate model"))
    taken(command)
    assert text.index(command) > text.index(
        "Run:\n  python scripts/migration/migrate_to_new_model.py \\\n    --old-model 'a b' \\\n"
    )
    assert shlex.split(command)[4] == "a b"


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "info",
        "health",
        "logs",
        "check-db",
        "stop",
        "restart",
        "launch",
        "ingest-document",
        "ingest-directory",
        "list-formats",
    ],
)
def test_every_command_of_the_original_works_or_answers_in_words(command: str) -> None:
    assert (command in SAME) != (command in INSTEAD)
    if command in SAME:
        taken(" ".join(["memory", *translated([command, "--deep", "--json"])]))
