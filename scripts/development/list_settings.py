#!/usr/bin/env python3
"""Write docs/configuration.md from the settings class, so that no variable is missing there or out of date.

usage: list_settings.py [--check]

With --check nothing is written; it fails where the page isn't what would be written.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mcp_memory import config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
HEAD = """# Configuration

Every setting is an environment variable. `~` and `$HOME` in paths are expanded. A secret has a `_FILE` form that names a
file holding it. A mistake ends the start with exit code 78 and one line for each variable that can't be used.

This page is written by `scripts/development/list_settings.py`.
"""


def sections() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Headings of the class (its comments) with the names of the fields below each and their docstrings."""
    source = inspect.getsource(config.Settings)
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - getsource of a class
    described = {
        node.target.id: _docstring(follower)
        for node, follower in zip(body.body, [*body.body[1:], ast.Pass()], strict=True)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    heading, fields = "", list[tuple[str, str]]()
    for line in source.splitlines():
        if line.startswith("    # "):
            if fields:
                yield heading, fields
            heading, fields = line.removeprefix("    # "), []
        name = line.strip().split(":", 1)[0]
        if name in described and line.startswith(f"    {name}:"):
            fields.append((name, " ".join(described[name].split())))
    yield heading, fields


def _docstring(node: ast.stmt) -> str:
    """The text of a statement that is only a string, else nothing."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return ""


def names(field: FieldInfo) -> list[str]:
    """The variables that set a field, the preferred one first."""
    alias = field.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [str(alias)]


def default(field: FieldInfo) -> str:
    """The default as it would be written in a shell."""
    value = field.default
    if value is PydanticUndefined or value is None or value == "":
        return ""
    if isinstance(value, Enum):
        value = value.value
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def secret(field: FieldInfo) -> bool:
    return SecretStr in getattr(field.annotation, "__args__", ())


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for heading, fields in sections():
        lines += [f"## {heading}", "", "| variable | default | meaning |", "|---|---|---|"]
        for name, meaning in fields:
            field = config.Settings.model_fields[name]
            variables = ", ".join(f"`{variable}`" for variable in names(field))
            note = " Secret: also as a file." if secret(field) else ""
            lines.append(f"| {variables} | {default(field)} | {meaning}{note} |")
        lines.append("")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Write or check the page."""
    wanted = page()
    if arguments == ["--check"]:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted:
            sys.exit("docs/configuration.md is out of date: run scripts/development/list_settings.py")
    elif arguments:
        sys.exit(__doc__)
    else:
        PAGE.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
