"""Write a Helm chart's values.schema.json from the comments in its values.yaml.

    python scripts/development/make_values_schema.py helm/mcp-memory [--check]

A value's type is its default's. `# @schema {...}` above it, JSON schema in YAML on one line, narrows or replaces that: it is
needed where the default (null, `{}`, `[]`) doesn't tell. `# -- text`, needed everywhere, is its description. Whatever isn't
in values.yaml is refused. Three keys are ours: `settings: true` (the names in the service's configuration), `resources: true`
(requests and limits), and on a map with keys of its own `type: object` (any object: Kubernetes judges it).
"""

from __future__ import annotations

import json
import sys
from enum import EnumMeta
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import AliasChoices, SecretStr

from mcp_memory.config import Settings

TYPES = {"str": "string", "int": "integer", "bool": "boolean", "float": "number"}
OF_THE_CHART = frozenset(
    {
        "MCP_ADDRESS_FILE",
        "MCP_ALLOWED_HOSTS",
        "MCP_ALLOW_ANONYMOUS_ACCESS",
        "MCP_GENERATED_KEY_FILE",
        "MCP_HTTP_HOST",
        "MCP_HTTP_PORT",
        "MCP_MEMORY_BASE_DIR",
        "MCP_MEMORY_SQLITE_PATH",
        "MCP_MEMORY_SQLITEVEC_PATH",
        "MCP_MEMORY_STORAGE_BACKEND",
        "MCP_OWNER_IDLE_SECONDS",
        "MCP_QDRANT_CA_FILE",
        "MCP_QDRANT_READ_CONSISTENCY",
        "MCP_QDRANT_REPLICATION_FACTOR",
        "MCP_QDRANT_SHARD_NUMBER",
        "MCP_QDRANT_STORAGE_PATH",
        "MCP_QDRANT_URL",
        "MCP_QDRANT_WRITE_CONSISTENCY_FACTOR",
    }
)
"""Settings that follow from other values, or make no sense in a pod. Secrets are left out besides."""
RESOURCES = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "requests": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
        "limits": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
        "claims": {"type": "array", "items": {"type": "object"}},
    },
}
GLOBAL = {"type": "object", "description": "Values of a chart that has this one as its part; none is used here."}


def main(chart: Path, *, check: bool) -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"Values of {chart.name}",
        **of_file(chart / "values.yaml"),
    }
    schema["properties"]["global"] = GLOBAL
    text = json.dumps(schema, indent=2) + "\n"
    target = chart / "values.schema.json"
    if not check:
        target.write_text(text)
    elif not target.exists() or target.read_text() != text:
        sys.exit(
            f"{target} does not fit values.yaml and the settings:  python scripts/development/make_values_schema.py {chart}"
        )


def of_file(path: Path) -> dict[str, Any]:
    text = path.read_text()
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)  # noqa: S101
    return of_mapping(root, text.splitlines(), "")


def of_mapping(node: yaml.MappingNode, lines: list[str], prefix: str) -> dict[str, Any]:
    properties = {}
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        properties[key.value] = of_value(name, value, comments(lines, key.start_mark.line), lines)
    return {"type": "object", "additionalProperties": False, "properties": properties}


def of_value(name: str, value: yaml.Node, comment: list[str], lines: list[str]) -> dict[str, Any]:
    given = annotation(name, comment)
    description = prose(comment)
    if isinstance(value, yaml.MappingNode) and value.value and not given:
        found = of_mapping(value, lines, f"{name}.")
        return found if description is None else {**found, "description": description}
    if description is None:
        sys.exit(f"values.yaml: {name} has no description (`# -- ...`)")
    if given.pop("settings", False):
        base = {"type": "object", "additionalProperties": False, "properties": settings()}
    elif given.pop("resources", False):
        base = RESOURCES
    else:
        base = {**inferred(name, value, given), **given}
    return {"description": description, **base}


def inferred(name: str, value: yaml.Node, given: dict[str, Any]) -> dict[str, Any]:
    if isinstance(value, yaml.SequenceNode):
        needed, kind = "items", "array"
    elif isinstance(value, yaml.MappingNode):
        needed, kind = "additionalProperties", "object"
    else:
        tag = value.tag.rpartition(":")[2]
        needed, kind = "type", TYPES.get(tag, "")
    if not kind or (needed != "type" and needed not in given and given.get("type") != "object"):
        if "type" not in given:
            sys.exit(f"values.yaml: {name} needs `# @schema` with {needed}: its default doesn't tell what it may be")
        return {}
    return {"type": kind}


def settings() -> dict[str, Any]:
    """Every setting that values may give, by its variable's name."""
    found: dict[str, Any] = {}
    for field in Settings.model_fields.values():
        alias = field.validation_alias
        names = [str(name) for name in alias.choices] if isinstance(alias, AliasChoices) else [str(alias)]
        if SecretStr in members(field.annotation):
            continue
        found |= {name: or_none(of_setting(field.annotation)) for name in names if name not in OF_THE_CHART}
    return dict(sorted(found.items()))


def or_none(schema: dict[str, Any]) -> dict[str, Any]:
    """`--set settings.NAME=null` takes a setting out that an earlier `--set` gave: Helm keeps the null."""
    if "enum" in schema:
        return {"enum": [*schema["enum"], None]}
    return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}


def of_setting(annotation: Any) -> dict[str, Any]:
    """Also as a string: `--set-string`, and values that were read from an environment."""
    kinds = members(annotation)
    for kind in kinds:
        if isinstance(kind, EnumMeta):
            return {"enum": [str(member.value) for member in kind]}  # type: ignore[var-annotated]
    if bool in kinds:
        return {"enum": [True, False, "true", "false"]}
    if int in kinds:
        return {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+$"}]}
    if float in kinds:
        return {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9]*\\.?[0-9]+$"}]}
    return {"type": "string"}


def members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)


def comments(lines: list[str], at: int) -> list[str]:
    """The comment block right above a line, without its marks."""
    start = at
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return [line.lstrip().removeprefix("#").removeprefix(" ") for line in lines[start:at]]


def annotation(name: str, comment: list[str]) -> dict[str, Any]:
    found = [line.removeprefix("@schema ") for line in comment if line.startswith("@schema ")]
    if not found:
        return {}
    parsed: Any = yaml.safe_load(found[0])
    if len(found) > 1 or not isinstance(parsed, dict):
        sys.exit(f"values.yaml: {name} wants one `# @schema {{...}}`")
    return parsed


def prose(comment: list[str]) -> str | None:
    for number, line in enumerate(comment):
        if line.startswith("-- "):
            return " ".join([line.removeprefix("-- "), *comment[number + 1 :]]).strip()
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]), check="--check" in sys.argv[2:])
