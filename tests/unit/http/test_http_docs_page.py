"""/api/docs: a click on its prefilled examples deletes nothing, and it asks before it sends what does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import files
from typing import Any

import httpx
import pytest


def example(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """What the page prefills: its `example`, in Python."""
    if "$ref" in schema:
        return example(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "examples" in schema:
        return schema["examples"][0]
    if "default" in schema:
        return schema["default"]
    if "properties" in schema:
        return {
            name: value for name, part in schema["properties"].items() if (value := example(document, part)) is not None
        }
    return None


@pytest.mark.anyio
async def test_the_example_of_every_deletion_is_a_dry_run(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    seen = 0
    for path, methods in document["paths"].items():
        operation = methods.get("post")
        if operation is None or not re.search("delete|cleanup", path):
            continue
        seen += 1
        body = operation.get("requestBody")
        if body is not None:
            filled = example(document, body["content"]["application/json"]["schema"])
            assert filled["dry_run"] is True, path
            assert (await client.post(path, json=filled)).status_code == 200
        else:
            assert "dry_run" in {parameter["name"] for parameter in operation["parameters"]}, path
    assert seen == 3


def test_the_page_asks_before_it_deletes_or_changes() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js, which runs the page's script")
    page = files("mcp_memory.http").joinpath("docs.html").read_text(encoding="utf-8")
    assert "window.confirm(" in page
    assert 'parameter.name === "dry_run") input.value = "true"' in page
    functions = page[page.index("const READING") : page.index("function operationOf")]
    cases: list[tuple[str, str, str, str, bool]] = [
        ("DELETE", "/api/memories/{content_hash}", "", "", True),
        ("POST", "/api/memories/delete", "", '{"tags": ["a"]}', True),
        ("POST", "/api/memories/delete", "", '{"tags": ["a"], "dry_run": false}', True),
        ("POST", "/api/memories/delete", "", "not JSON", True),
        ("POST", "/api/memories/delete", "", '{"tags": ["a"], "dry_run": true}', False),
        ("POST", "/api/manage/bulk-delete", "", '{"tag": "a"}', True),
        ("POST", "/api/manage/cleanup-duplicates", "", "", True),
        ("POST", "/api/manage/cleanup-duplicates", "dry_run=true", "", False),
        ("PUT", "/api/memories/{content_hash}", "", "{}", True),
        ("GET", "/api/memories", "", "", False),
        ("POST", "/api/search", "", "{}", False),
    ]
    asked = (
        "cases.map(([m, p, query, text]) => whatItChanges(m, p, {query: new URLSearchParams(query), text}) !== null)"
    )
    script = f"{functions}\nconst cases = {json.dumps(cases)};\nconsole.log(JSON.stringify({asked}))"
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == [case[4] for case in cases]
