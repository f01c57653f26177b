"""HEAD, Allow, the description of the API, and the one shape of what is refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from small_application import Connect

pytestmark = pytest.mark.anyio
HASH = "a" * 64
READ = (
    "/",
    "/api/health",
    "/livez",
    "/readyz",
    "/metrics",
    "/api/docs",
    "/api/openapi.json",
    "/openapi.json",
    "/api/tags",
)


@pytest.mark.parametrize("path", READ)
async def test_head_is_get_without_the_body(client: httpx.AsyncClient, path: str) -> None:
    got, head = await client.get(path), await client.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    assert head.headers["content-type" if got.content else "location"]
    if path not in ("/metrics", "/readyz"):
        assert head.headers["content-length"] == got.headers["content-length"]


async def test_head_of_what_is_not_there_has_no_body_either(client: httpx.AsyncClient) -> None:
    for path, status in (("/nothing", 404), (f"/api/memories/{HASH}", 404), ("/mcp", 405), ("/api/search", 405)):
        answer = await client.head(path)
        assert (answer.status_code, answer.content) == (status, b"")


@pytest.mark.parametrize(
    ("method", "path", "methods"),
    [
        ("PATCH", "/", "GET, HEAD"),
        ("DELETE", "/api/health", "GET, HEAD"),
        ("PATCH", "/api/memories", "GET, HEAD, POST"),
        ("PATCH", f"/api/memories/{HASH}", "DELETE, GET, HEAD, PUT"),
        ("GET", "/api/search", "POST"),
        ("OPTIONS", "/api/search", "POST"),
        ("PURGE", "/api/tags", "GET, HEAD"),
        ("GET", "/mcp", "POST"),
        ("DELETE", "/mcp/", "POST"),
        ("PATCH", "/api/config/credentials", "GET, HEAD, POST"),
        ("PUT", "/api/sync/events", "GET, HEAD, POST"),
        ("DELETE", "/api/quality/memories/x/rate", "POST"),
        ("GET", "/api/conflicts/resolve", "POST"),
    ],
)
async def test_allow_names_every_method_of_the_address(
    client: httpx.AsyncClient, method: str, path: str, methods: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, methods)


async def test_the_local_sockets_addresses_are_not_there_for_others(client: httpx.AsyncClient) -> None:
    answer = await client.patch("/internal/owner")
    assert answer.status_code == 404
    assert "allow" not in answer.headers


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (
            400,
            {"method": "POST", "url": "/api/search", "content": b"{", "headers": {"content-type": "application/json"}},
        ),
        (404, {"method": "GET", "url": "/nothing"}),
        (404, {"method": "GET", "url": f"/api/memories/{HASH}"}),
        (405, {"method": "PATCH", "url": "/api/memories"}),
        (413, {"method": "POST", "url": "/api/search", "json": "x" * 2_000_000}),
        (415, {"method": "POST", "url": "/api/search", "content": b"{}", "headers": {"content-type": "text/plain"}}),
        (421, {"method": "GET", "url": "/api/tags", "headers": {"host": "evil.example"}}),
        (403, {"method": "GET", "url": "/api/tags", "headers": {"origin": "http://evil.example"}}),
        (422, {"method": "POST", "url": "/api/search", "json": {"limit": 0}}),
        (422, {"method": "POST", "url": "/api/search", "json": []}),
        (501, {"method": "GET", "url": "/api/sync/status"}),
    ],
)
async def test_whatever_is_refused_is_refused_in_one_shape(
    client: httpx.AsyncClient, status: int, request_: dict[str, Any]
) -> None:
    answer = await client.request(**request_)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    body = answer.json()
    assert set(body) == {"detail", "error"}
    assert {"code", "message"} <= set(body["error"]) <= {"code", "message", "field"}
    assert body["detail"]
    assert len(body["error"]["message"]) > len("Method Not Allowed")


async def test_the_description_says_which_key_is_asked_for_and_where_the_service_is(connect: Connect) -> None:
    client = await connect(api_key="secret", root_path="/mem")
    document = (await client.get("/mem/api/openapi.json")).json()
    assert document == (await client.get("/mem/openapi.json")).json()
    assert document["servers"] == [{"url": "/mem"}]
    schemes = document["components"]["securitySchemes"]
    assert (schemes["bearer"]["scheme"], schemes["key"]["name"]) == ("bearer", "X-API-Key")
    security = {
        (path, method): operation["security"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert (
        security.pop(("/api/health", "get"))
        == security.pop(("/livez", "get"))
        == security.pop(("/readyz", "get"))
        == []
    )
    assert {str(each) for each in security.values()} == {str([{"bearer": []}, {"key": []}])}
    for path, method in security:
        answer = await client.request(method, "/mem" + path.replace("{content_hash}", HASH))
        assert answer.status_code == 401, path
    for headers in ({"Authorization": "Bearer secret"}, {"X-API-Key": "secret"}):
        assert (await client.get("/mem/api/tags", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("settings", "reads", "writes"),
    [
        ({}, True, True),
        ({"api_key": "k", "allow_anonymous_access": True}, True, True),
        ({"api_key": "k", "allow_anonymous_access": True, "anonymous_scope": "read"}, True, False),
        ({"anonymous_scope": "none"}, False, False),
    ],
)
async def test_the_description_says_what_needs_no_key(
    connect: Connect, settings: dict[str, Any], *, reads: bool, writes: bool
) -> None:
    paths = (await (await connect(**settings)).get("/api/openapi.json")).json()["paths"]
    assert ({} in paths["/api/tags"]["get"]["security"]) is reads
    assert ({} in paths["/api/search"]["post"]["security"]) is reads
    assert ({} in paths["/api/memories"]["post"]["security"]) is writes
