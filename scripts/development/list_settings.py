#!/usr/bin/env python3
"""Write docs/configuration.md and docs/original-settings.md from the code, so that no variable is missing there or out of date.

usage: list_settings.py [--check]

With --check nothing is written; it fails where a page isn't what would be written.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from mcp_memory import config
from mcp_memory.allowed_values import default_of, form
from mcp_memory.original_settings import ORIGINALS

DOCS = Path(__file__).resolve().parents[2] / "docs"
HEAD = """# Configuration

Every setting is an environment variable. An empty one counts as unset, everywhere; blanks around a value and one pair of
quotes (which `docker run --env-file` keeps) are taken away. Paths are absolute; `~` and `$HOME` in them are expanded. A secret
has a `_FILE` form that names a file holding it: one line, whatever the editor put around it. A mistake ends the start with exit
code 78 and one line for each variable that can't be used, with what may stand there; `memory doctor` checks the same.

Variables of the original service that are no settings here, what has no effect and what stands in its place:
[original-settings.md](original-settings.md). They are named once at the start and by `memory doctor`, and so is a misspelt
`MCP_...`. One byte of memory or disk is a byte; kB, MB and GB are powers of 1000 wherever a message prints them.

This page is written by `scripts/development/list_settings.py`.
"""

ORIGINAL_HEAD = """# Variables of the original service

What each environment variable of `mcp-memory-service` 12.4 means here. Settings of ours, with ranges and defaults:
[configuration.md](configuration.md). Nothing that is set is passed over in silence: `memory server` names once at its start, and
`memory doctor` whenever it is asked, each variable that has no effect, and each `MCP_...` that is no setting, with the nearest
that is one. What closes something there and can't here ends the start with exit code 78. A name that ends in `*` stands for all
that begin so.

This page is written by `scripts/development/list_settings.py`.
"""
HONOURED = {
    "LOG_LEVEL": "the same; default `INFO` (there `WARNING`)",
    "MCP_AGENT_ID": "the same",
    "MCP_ALLOW_ANONYMOUS_ACCESS": "the same",
    "MCP_ANONYMOUS_SCOPE": "the same",
    "MCP_API_KEY": "the same; also as `MCP_API_KEY_FILE`",
    "MCP_CORS_ORIGINS": "the same; default none (there `*` on loopback)",
    "MCP_EMBEDDING_MODEL": "the same",
    "MCP_EXTERNAL_EMBEDDING_API_KEY": "the same; also as `MCP_EXTERNAL_EMBEDDING_API_KEY_FILE`",
    "MCP_EXTERNAL_EMBEDDING_MODEL": "the same; default `MCP_EMBEDDING_MODEL` (there `nomic-embed-text`)",
    "MCP_EXTERNAL_EMBEDDING_URL": "the same",
    "MCP_HTTPS_ENABLED": "the same",
    "MCP_HTTP_HOST": "the same",
    "MCP_HTTP_MAX_BODY_BYTES": "the same",
    "MCP_HTTP_PORT": "the same; any port",
    "MCP_HTTP_ROOT_PATH": "the same",
    "MCP_MEMORY_BASE_DIR": "the same; absolute",
    "MCP_MEMORY_OFFLINE": "the same",
    "MCP_MEMORY_SQLITEVEC_PATH": "the same, of the backend `sqlite_vec`; absolute",
    "MCP_MEMORY_SQLITE_PATH": "the same, of the backend `sqlite_vec`; absolute",
    "MCP_MEMORY_STORAGE_BACKEND": "`qdrant` (default) or `sqlite_vec`; for the others, how to bring their memories in",
    "MCP_SEMANTIC_DEDUP_ENABLED": "the same; default `false` (there `true`)",
    "MCP_SEMANTIC_DEDUP_THRESHOLD": "the same; default `0.95` (there `0.85`)",
    "MCP_SSL_CERT_FILE": "the same",
    "MCP_SSL_KEY_FILE": "the same",
}
"""What the original's variables that are settings here mean, where they are."""
LIBRARIES = (
    (("HF_HOME", "HF_HUB_OFFLINE"), "where the Hub's files are kept; never ask the Hub (huggingface-hub)"),
    (
        ("TRANSFORMERS_OFFLINE", "SENTENCE_TRANSFORMERS_HOME"),
        "as there, with `MCP_EMBEDDING_PROVIDER=sentence-transformers`",
    ),
    (("SSL_CERT_FILE", "SSL_CERT_DIR"), "certificate authorities that https addresses are checked against"),
    (("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"), "proxies on the way to embedding endpoints and the Hub"),
)


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


def secret(field: FieldInfo) -> bool:
    return SecretStr in getattr(field.annotation, "__args__", ())


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for heading, fields in sections():
        lines += [f"## {heading}", "", "| variable | default | may be | meaning |", "|---|---|---|---|"]
        for name, meaning in fields:
            field = config.Settings.model_fields[name]
            variables = ", ".join(f"`{variable}`" for variable in config.names_of(field))
            given = default_of(field)
            note = " Secret." if secret(field) else ""
            if not meaning:
                sys.exit(f"{name} has no docstring in config.py")
            lines.append(f"| {variables} | {f'`{given}`' if given else ''} | {form(field)} | {meaning}{note} |")
        lines.append("")
    return "\n".join(lines)


def original_page() -> str:
    """The page of the original's variables."""
    lines = [ORIGINAL_HEAD, "## Settings here too", "", "| variable | here |", "|---|---|"]
    lines += [f"| `{name}` | {HONOURED[name]} |" for name in sorted(set(HONOURED) & config.variables())]
    lines += ["", "## Read by libraries", "", "| variable | here |", "|---|---|"]
    lines += [f"| {_variables(names)} | {meaning} |" for names, meaning in LIBRARIES]
    for heading, closes in (("End the start where they are on", True), ("Without effect", False)):
        entries = [
            (names, original.instead)
            for original in ORIGINALS
            if original.closes is closes and (names := [n for n in original.names if n not in config.variables()])
        ]
        if entries:
            lines += ["", f"## {heading}", "", "| variable | instead |", "|---|---|"]
            lines += [f"| {_variables(names)} | {instead} |" for names, instead in entries]
    return "\n".join([*lines, ""])


def _variables(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main(arguments: list[str]) -> None:
    """Write or check the pages."""
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    for name, wanted in (("configuration.md", page()), ("original-settings.md", original_page())):
        file = DOCS / name
        if not arguments:
            file.write_text(wanted, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != wanted:
            sys.exit(f"docs/{name} is out of date: run scripts/development/list_settings.py")


if __name__ == "__main__":
    main(sys.argv[1:])
