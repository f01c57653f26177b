"""Who is let in, through which door, under which name."""

from __future__ import annotations

import json

import pytest
from small_application import Connect

from mcp_memory.config import load_settings
from mcp_memory.domain.errors import ConfigurationError

pytestmark = pytest.mark.anyio
KEY = "correct horse battery staple"
OPEN = ["/api/health", "/livez", "/readyz", "/api/docs", "/api/openapi.json", "/openapi.json"]
GUARDED = ["/api/memories", "/api/storage/stats", "/api/health/detailed", "/api/tags", "/metrics", "/nowhere"]
RIGHT = [{"Authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {KEY}"}, {"X-API-Key": KEY}]
WRONG = [
    {"Authorization": "Bearer wrong"},
    {"X-API-Key": "wrong"},
    {"X-API-Key": ""},
    {"Authorization": f"Basic {KEY}"},
    {"Authorization": "Bearer kéy"},
]


@pytest.mark.parametrize("path", GUARDED)
async def test_a_set_key_is_asked_of_everybody_even_on_loopback(connect: Connect, path: str) -> None:
    client = await connect(api_key=KEY)
    answer = await client.get(path)
    assert answer.status_code == 401
    assert answer.json()["detail"]["error"] == "authorization_required"
    assert answer.json()["error"]["code"] == "authorization_required"
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", OPEN)
async def test_probes_health_and_description_need_no_key(connect: Connect, path: str) -> None:
    client = await connect(api_key=KEY, peer="203.0.113.9")
    assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("headers", RIGHT)
async def test_the_key_opens_in_either_header(connect: Connect, headers: dict[str, str]) -> None:
    client = await connect(api_key=KEY, peer="203.0.113.9")
    assert (await client.get("/api/memories", headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", WRONG)
async def test_a_wrong_key_is_refused(connect: Connect, headers: dict[str, str]) -> None:
    client = await connect(api_key=KEY)
    encoded = {name: value.encode() for name, value in headers.items()}
    answer = await client.get("/api/memories", headers=encoded)
    assert answer.status_code == 401
    assert KEY not in answer.text


async def test_a_key_in_the_url_is_no_key(connect: Connect) -> None:
    client = await connect(api_key=KEY)
    assert (await client.get("/api/memories", params={"api_key": KEY})).status_code == 401


async def test_beside_a_key_anonymous_access_serves_who_sends_none_and_refuses_a_wrong_one(connect: Connect) -> None:
    client = await connect(peer="203.0.113.9", api_key=KEY, allow_anonymous_access=True)
    assert (await client.get("/api/memories")).status_code == 200
    for wrong in WRONG[:3]:
        assert (await client.get("/api/memories", headers=wrong)).status_code == 401


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("peer", ["127.0.0.1", "203.0.113.9"])
async def test_a_scope_of_reading_lets_nobody_without_a_key_change_anything(
    connect: Connect, key: str | None, peer: str
) -> None:
    client = await connect(peer=peer, api_key=key, allow_anonymous_access=True, anonymous_scope="read")
    for method, path in (
        ("POST", "/api/memories"),
        ("POST", "/api/memories/bulk"),
        ("POST", "/api/memories/delete"),
        ("POST", "/api/memories/update"),
        ("PUT", "/api/memories/" + "0" * 64),
        ("DELETE", "/api/memories/" + "0" * 64),
        ("POST", "/api/manage/bulk-delete"),
        ("POST", "/api/manage/cleanup-duplicates"),
        ("POST", "/api/backup"),
        ("PATCH", "/api/something/new"),
    ):
        refused = await client.request(method, path, json={"content": "x", "tags": ["a"]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope"), path
    for path in ("/api/search", "/api/search/by-tag", "/api/search/by-time"):
        body: dict[str, object] = {"tags": ["a"]} if path.endswith("tag") else {"query": "today"}
        assert (await client.post(path, json=body)).status_code == 200
    assert (await client.get("/api/memories")).json()["total"] == 0
    if key:
        stored = await client.post("/api/memories", json={"content": "x"}, headers={"X-API-Key": key})
        assert stored.json()["success"] is True


async def test_a_scope_of_reading_holds_for_mcp(connect: Connect) -> None:
    client = await connect(api_key=KEY, allow_anonymous_access=True, anonymous_scope="read")

    async def call(name: str, arguments: dict[str, object], key: str = "") -> dict[str, object]:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
        answer = await client.post("/mcp", json=body, headers=headers | ({"X-API-Key": key} if key else {}))
        assert answer.status_code == 200, answer.text
        return dict(json.loads(answer.text.partition("data:")[2] or answer.text)["result"])

    for name in ("memory_store", "store_memory"):
        refused = await call(name, {"content": "x"})
        assert refused["isError"] is True
        assert "MCP_ANONYMOUS_SCOPE" in str(refused["content"])
    assert (await call("memory_delete", {"tags": ["a"]}))["isError"] is True
    assert not (await call("memory_search", {"query": "x"})).get("isError")
    assert not (await call("memory_store", {"content": "x"}, KEY)).get("isError")
    assert (await client.get("/api/memories")).json()["total"] == 1


@pytest.mark.parametrize("scope", ["", "none"])
async def test_a_scope_of_nothing_lets_nobody_in_without_a_key(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    monkeypatch.setenv("MCP_ANONYMOUS_SCOPE", scope)
    client = await connect(allow_anonymous_access=True)
    assert (await client.get("/api/memories")).status_code == 401
    assert (await client.get("/api/health")).status_code == 200


@pytest.mark.parametrize("scope", ["read:default", "write", "admin", "full"])
def test_a_scope_that_cannot_be_kept_to_ends_the_start(scope: str) -> None:
    with pytest.raises(ConfigurationError, match="MCP_ANONYMOUS_SCOPE"):
        load_settings(anonymous_scope=scope)


async def test_the_unix_socket_needs_no_key(connect: Connect) -> None:
    client = await connect(api_key=KEY, unix=True)
    assert (await client.get("/api/memories", headers={"Host": "owner"})).status_code == 200


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
async def test_without_a_key_loopback_is_let_in(connect: Connect, peer: str) -> None:
    client = await connect(peer=peer)
    assert (await client.get("/api/memories")).status_code == 200


@pytest.mark.parametrize("peer", ["203.0.113.9", "fe80::1%eth0", "10.0.0.1"])
async def test_without_a_key_others_are_not_let_in(connect: Connect, peer: str) -> None:
    client = await connect(peer=peer)
    forged = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
    assert (await client.get("/api/memories", headers=forged)).status_code == 401


async def test_anonymous_access_lets_others_in_when_allowed_in_so_many_words(connect: Connect) -> None:
    client = await connect(peer="203.0.113.9", allow_anonymous_access=True)
    assert (await client.get("/api/memories")).status_code == 200


async def test_the_metrics_key_opens_metrics_and_nothing_else(connect: Connect) -> None:
    client = await connect(api_key=KEY, metrics_key="scrape me", headers={"X-API-Key": "scrape me"})
    assert (await client.get("/metrics")).status_code == 200
    assert (await client.get("/api/memories")).status_code == 401


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "a b", "x@localhost"],
)
async def test_a_foreign_host_is_refused(connect: Connect, host: str) -> None:
    client = await connect()
    answer = await client.get("/api/memories", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["error"]["code"] == "host_not_allowed"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "192.0.2.7:8000"])
async def test_loopback_names_and_addresses_are_hosts_that_no_page_can_rebind(connect: Connect, host: str) -> None:
    client = await connect()
    assert (await client.get("/api/memories", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        ("memory.example", "memory.example", 200),
        ("memory.example", "memory.example:8000", 200),
        ("memory.example:8000", "memory.example:8000", 200),
        ("memory.example:8000", "memory.example:9000", 421),
        ("memory.example:*", "Memory.Example:9000", 200),
        ("memory.example", "other.example", 421),
        ("*", "other.example", 200),
    ],
)
async def test_allowed_hosts_are_answered(connect: Connect, allowed: str, host: str, status: int) -> None:
    client = await connect(allowed_hosts=allowed)
    assert (await client.get("/api/memories", headers={"Host": host})).status_code == status


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_probes_and_metrics_are_answered_under_any_host(connect: Connect, path: str) -> None:
    client = await connect()
    assert (await client.get(path, headers={"Host": "pod-7.cluster.internal"})).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "file://", "http://evil.example:8000"])
async def test_a_web_page_of_another_site_is_refused(connect: Connect, origin: str) -> None:
    client = await connect()
    answer = await client.post("/api/memories", json={"content": "planted"}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert (await client.get("/api/memories")).json()["total"] == 0


async def test_cors_is_off_unless_an_origin_is_named(connect: Connect) -> None:
    origin = {"Origin": "https://app.example"}
    closed, open_ = await connect(), await connect(cors_origins="https://app.example", api_key=KEY)
    assert "access-control-allow-origin" not in (await closed.get("/livez", headers=origin)).headers
    preflight = origin | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    answer = await open_.options("/api/memories", headers=preflight)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    answer = await open_.get("/api/memories", headers=origin | {"X-API-Key": KEY})
    assert answer.headers["access-control-allow-origin"] == "https://app.example"


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("192.0.2.7:8000", "http://192.0.2.7:8000", 200),
        ("192.0.2.7:8000", "http://192.0.2.7:9000", 403),
        ("192.0.2.7:8000", "http://192.0.2.8:8000", 403),
        ("192.0.2.7", "https://192.0.2.7", 200),
        ("[2001:db8::1]:8000", "http://[2001:db8::2]:8000", 403),
        ("localhost:8000", "http://203.0.113.5", 403),
        ("localhost:8000", "http://[::1]:3000", 200),
        ("localhost:8000", "http://localhost:3000", 200),
        ("localhost:8000", "http://localhost.evil.example", 403),
        ("localhost:8000", "http://user@localhost", 403),
    ],
)
async def test_an_origin_is_the_own_host_or_loopback(connect: Connect, host: str, origin: str, status: int) -> None:
    client = await connect()
    answer = await client.get("/api/tags", headers={"Host": host, "Origin": origin})
    assert answer.status_code == status


async def test_with_any_host_allowed_a_foreign_origin_is_still_refused(connect: Connect) -> None:
    client = await connect(allowed_hosts="*")
    answer = await client.get("/api/tags", headers={"Host": "memory.lan", "Origin": "https://evil.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/api/manage/cleanup-duplicates", "/api/backup", "/api/memories", "/mcp"])
@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_what_a_page_may_send_unasked_changes_nothing(connect: Connect, path: str, kind: str | None) -> None:
    client = await connect()
    answer = await client.post(path, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["error"]["message"]


async def test_what_a_page_must_ask_for_is_answered(connect: Connect) -> None:
    client = await connect()
    answer = await client.post("/api/manage/cleanup-duplicates", headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


async def test_two_hosts_are_400(connect: Connect) -> None:
    client = await connect()
    answer = await client.get("/livez", headers=[("Host", "localhost"), ("Host", "evil.example")])
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "path", ["/.well-known/oauth-protected-resource/mcp", "/mcp/.well-known/openid-configuration", "/register"]
)
async def test_who_looks_for_oauth_is_told_that_there_is_none(connect: Connect, path: str) -> None:
    client = await connect(api_key=KEY)
    assert (await client.get(path)).status_code == 404


async def test_mcp_clients_in_web_pages_may_send_their_headers(connect: Connect) -> None:
    client = await connect(cors_origins="https://app.example", api_key=KEY)
    asked = "authorization,content-type,mcp-protocol-version,mcp-session-id,last-event-id,mcp-method,mcp-name"
    origin = {"Origin": "https://app.example"}
    preflight = origin | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked}
    assert (await client.options("/mcp", headers=preflight)).status_code == 200
    answer = await client.get("/livez", headers=origin)
    assert "mcp-session-id" in answer.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize(
    ("given", "path"), [("/mem/", "/mem"), ("mem", "/mem"), ("/", ""), ("", ""), ("/a/b//", "/a/b")]
)
def test_a_root_path_is_meant_as_it_is_written(given: str, path: str) -> None:
    assert load_settings(root_path=given).root_path == path


def test_a_password_in_the_address_of_qdrant_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="MCP_QDRANT_API_KEY") as refused:
        load_settings(qdrant_url="http://a:6333,http://user:geheim@b:6333")
    assert "geheim" not in str(refused.value)
