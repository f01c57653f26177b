"""Bad input gets a 4xx with words that help, and changes nothing."""

from __future__ import annotations

import json

import httpx
import pytest

pytestmark = pytest.mark.anyio
HASH = "a" * 64
NESTED = json.dumps({"content": "x", "metadata": {"deep": None}}).replace("null", '{"a":' * 200 + "1" + "}" * 200)

BODIES = [
    ("POST", "/api/memories", '{"content": ""}', "content"),
    ("POST", "/api/memories", '{"content": " \\n\\t "}', "content"),
    ("POST", "/api/memories", json.dumps({"content": "x" * 65_537}), "65"),
    ("POST", "/api/memories", "{}", "content"),
    ("POST", "/api/memories", '{"content": 7}', "content"),
    ("POST", "/api/memories", '{"content": "x", "tags": ["a,b"]}', "comma"),
    ("POST", "/api/memories", json.dumps({"content": "x", "tags": [f"t{n}" for n in range(10_000)]}), "tags"),
    ("POST", "/api/memories", '{"content": "x\\u0000y"}', "NUL"),
    ("POST", "/api/memories", '{"content": "lone \\ud800 surrogate"}', "content"),
    ("POST", "/api/memories", '{"content": "x", "metadata": {"lone": "\\ud800"}}', "Unicode"),
    ("POST", "/api/memories", '{"content": "x", "metadata": {"\\udfff": 1}}', "Unicode"),
    ("POST", "/api/memories", '{"content": "x", "metadata": {"n": NaN}}', "metadata"),
    ("POST", "/api/memories", '{"content": "x", "metadata": {"n": 1e999}}', "metadata"),
    ("POST", "/api/memories", json.dumps({"content": "x", "metadata": {"n": 2**70}}), "64"),
    ("POST", "/api/memories", NESTED, "metadata"),
    ("POST", "/api/memories", '{"content": "x", "metadata": ' + "[" * 100_000 + "]" * 100_000 + "}", "body"),
    ("POST", "/api/memories", '{"content": "x", "metadata": {"n": ' + "9" * 5000 + "}}", ""),
    ("POST", "/api/memories", '{"content": "x", "store": "all"}', "store"),
    ("POST", "/api/memories", '{"content": "x",', "JSON"),
    ("POST", "/api/memories", "", "JSON"),
    ("POST", "/api/memories", "[]", "JSON"),
    ("POST", "/api/memories", '"text"', "JSON"),
    ("POST", "/api/memories/bulk", '{"memories": []}', "memories"),
    ("POST", "/api/memories/delete", "{}", "condition"),
    ("POST", "/api/memories/delete", '{"store": "default"}', "condition"),
    ("POST", "/api/memories/delete", '{"tags": []}', "condition"),
    ("POST", "/api/memories/delete", '{"hashes": ["nonsense"]}', "hash"),
    ("POST", "/api/manage/bulk-delete", "{}", "condition"),
    ("POST", "/api/search", '{"query": "x", "mode": "telepathy"}', "mode"),
    ("POST", "/api/search", '{"query": "x", "n_results": 0}', "n_results"),
    ("POST", "/api/search", '{"query": "x", "n_results": -5}', "n_results"),
    ("POST", "/api/search", json.dumps({"query": "x", "n_results": 2**70}), "n_results"),
    ("POST", "/api/search", '{"query": "x", "n_results": 101}', "n_results"),
    ("POST", "/api/search", '{"query": "x", "after": "the day of the jackal"}', "after"),
    ("POST", "/api/search", '{"query": "x", "time_expr": "when pigs fly"}', "pigs"),
    ("POST", "/api/search", '{"query": "x", "similarity_threshold": NaN}', "similarity_threshold"),
    ("POST", "/api/search", '{"query": "x", "tag_match": "some"}', "tag_match"),
    ("POST", "/api/search/by-tag", '{"tags": []}', "tag"),
    ("POST", "/api/search/by-time", '{"query": "when pigs fly"}', "pigs"),
    ("PUT", f"/api/memories/{HASH}", "{}", ""),
    ("PUT", "/api/memories/nonsense", '{"tags": ["a"]}', "hash"),
    ("GET", "/api/memories/nonsense", "", "hash"),
    ("DELETE", "/api/memories/" + "g" * 64, "", "hash"),
    ("GET", "/api/search/similar/12", "", "hash"),
    ("GET", "/api/memories?page=0", "", "page"),
    ("GET", "/api/memories?page_size=-1", "", "page_size"),
    ("GET", "/api/memories?page_size=101", "", "page_size"),
    ("GET", "/api/memories?cursor=nonsense", "", "cursor"),
    ("GET", "/api/memories?after=someday", "", "after"),
    ("GET", "/api/memories/hashes?cursor=nonsense", "", ""),
    ("GET", "/api/memories/hashes?limit=5001", "", "limit"),
]


@pytest.mark.parametrize(("method", "path", "body", "word"), BODIES)
async def test_bad_input_is_refused_in_words_and_changes_nothing(
    client: httpx.AsyncClient, method: str, path: str, body: str, word: str
) -> None:
    kept = (await client.post("/api/memories", json={"content": "kept", "tags": ["kept"]})).json()["memory"]
    headers = {"Content-Type": "application/json"} if method in {"POST", "PUT"} else {}
    answer = await client.request(method, path, content=body.encode(), headers=headers)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.status_code != 404 or method == "PUT"
    error = answer.json()["error"]
    assert error["code"]
    assert word in error["message"], error
    assert answer.json()["detail"]
    listing = (await client.get("/api/memories")).json()
    assert listing["memories"] == [kept]


async def test_a_form_is_told_to_be_json(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/memories", content=b'{"content": "x"}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["error"]["message"]


async def test_unknown_paths_and_methods_answer_in_json_too(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/nowhere")).json()["error"]["code"] == "not_found"
    answer = await client.patch("/api/memories")
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"


async def test_internal_paths_do_not_exist_over_tcp(client: httpx.AsyncClient) -> None:
    assert (await client.get("/internal/owner")).status_code == 404
    assert (await client.post("/internal/handover", json={"reason": "x"})).status_code == 404
