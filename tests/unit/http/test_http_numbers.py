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


IDS = [*HUGE, "1.5", "1.0", "true", "null", "[]", "{}", str(2**63)]


@pytest.mark.parametrize("method", ["ping", "initialize", "tools/call"])
@pytest.mark.parametrize("id_", IDS, ids=lambda id_: id_[:9])
async def test_an_id_that_can_not_be_given_back_is_an_error_without_one(
    client: httpx.AsyncClient, id_: str, method: str
) -> None:
    body = f'{{"jsonrpc": "2.0", "id": {id_}, "method": "{method}", "params": {{}}}}'
    answer = await client.post("/mcp", content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["id"] is None
    assert answer.json()["error"]["code"] == -32600
    assert "the id is a text or a whole number" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "code", "word"),
    [
        ("{", -32700, "Parse error"),
        ("", -32700, "Parse error"),
        (f'{{"jsonrpc": "2.0", "id": {"9" * 5000}, "method": "ping"}}', -32700, "digits"),
        ("[" * 100_000, -32700, "Parse error"),
        ("3", -32600, "object"),
        ("[]", -32600, "one by one"),
        ('[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600, "one by one"),
        ('{"id": 1, "method": "ping"}', -32600, '"jsonrpc": "2.0"'),
        ('{"jsonrpc": 1e400, "id": 1, "method": "ping"}', -32600, '"jsonrpc": "2.0"'),
        ('{"jsonrpc": "2.0", "id": 1, "method": NaN}', -32600, "method"),
        ('{"jsonrpc": "2.0", "id": 1}', -32600, "method"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_what_is_no_message_is_refused_in_words(
    client: httpx.AsyncClient, body: str, code: int, word: str
) -> None:
    answer = await client.post("/mcp", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["id"], answer.json()["error"]["code"]) == (400, None, code)
    assert word in answer.json()["error"]["message"]
    assert "validation error" not in answer.json()["error"]["message"].lower()


@pytest.mark.parametrize("number", [*HUGE, "9" * 5000], ids=lambda number: number[:9])
async def test_numbers_in_an_address_are_refused_in_words(client: httpx.AsyncClient, number: str) -> None:
    similar = f"/api/search/similar/{'a' * 64}"
    for path in ("/api/memories", "/api/memories/hashes", similar, f"/api/memories/{number}"):
        for name in ("page", "page_size", "limit", "cursor", "after", "before", "similarity_threshold"):
            answer = await client.get(path, params={name: number})
            assert 400 <= answer.status_code < 500, (path, name)
            assert answer.json()["error"]["message"]
