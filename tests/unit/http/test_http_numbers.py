"""Numbers that JSON can't hold, or that no machine number holds, are refused in words wherever they stand in a body."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from mcp_memory.mcp.tools.registry import answered_tools

pytestmark = pytest.mark.anyio
HUGE = ["1e400", "-1e400", "NaN", "Infinity", "-Infinity", "9" * 400]
JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def with_field(name: str, number: str, required: list[str]) -> bytes:
    rest = {field: "x" for field in required if field != name}
    return (json.dumps(rest)[:-1] + (", " if rest else "") + f'"{name}": {number}}}').encode()


async def test_every_field_of_every_body_refuses_them(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if "requestBody" not in operation:
                continue
            reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            schema = described["components"]["schemas"][reference.rpartition("/")[2]]
            url = path.replace("{content_hash}", "a" * 64)
            for name in schema["properties"]:
                for number in HUGE:
                    body = with_field(name, number, schema.get("required", []))
                    answer = await client.request(method, url, content=body, headers=JSON)
                    assert 400 <= answer.status_code < 500, (path, name, number[:9], answer.text)
                    assert answer.json()["error"]["message"]


async def test_every_number_of_every_tool_refuses_them(client: httpx.AsyncClient) -> None:
    asked = 0
    for name, tool in answered_tools(legacy_names=True).items():
        for argument, schema in {**tool.parameters, **tool.accepted}.items():
            if not {"integer", "number"} & types_of(schema):
                continue
            for number in HUGE:
                answer = await called(client, name, with_field(argument, number, list(tool.required)).decode())
                assert answer["result"]["isError"], (name, argument, number[:9], answer)
                assert argument in answer["result"]["content"][0]["text"]
                asked += 1
    assert asked


async def called(client: httpx.AsyncClient, tool: str, arguments: str) -> dict[str, Any]:
    params = f'{{"name": "{tool}", "arguments": {arguments}}}'
    body = f'{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {params}}}'
    answer: dict[str, Any] = (await client.post("/mcp", content=body, headers=JSON)).json()
    return answer


def types_of(schema: Any) -> set[str]:
    kinds = schema.get("type", [])
    own = {kinds} if isinstance(kinds, str) else set(kinds)
    return own.union(*(types_of(part) for part in schema.get("anyOf", [])))
