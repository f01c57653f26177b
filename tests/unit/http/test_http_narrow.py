"""What deletes or changes reaches no further than what was asked: unknown fields, stores, days and tags."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio
DELETE, BULK = "/api/memories/delete", "/api/manage/bulk-delete"


async def store(client: httpx.AsyncClient, content: str, **fields: object) -> str:
    answer = await client.post("/api/memories", json={"content": content, **fields})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["content_hash"])


async def total(client: httpx.AsyncClient) -> int:
    return int((await client.get("/api/memories", params={"store": "all"})).json()["total"])


@pytest.mark.parametrize(
    ("method", "path", "body", "field", "nearest"),
    [
        ("POST", DELETE, {"tags": ["w"], "before_date": "2020-01-01"}, "before_date", "before"),
        ("POST", DELETE, {"tags": ["w"], "since": "2030-01-01"}, "since", "after"),
        ("POST", DELETE, {"tags": ["w"], "tagMatch": "all"}, "tagMatch", "tag_match"),
        ("POST", DELETE, {"tags": ["w"], "type": "none"}, "type", "memory_type"),
        ("POST", DELETE, {"tags": ["w"], "dryrun": True}, "dryrun", "dry_run"),
        ("POST", BULK, {"tag": "w", "before": "2020-01-01"}, "before", "before_date"),
        ("POST", BULK, {"tag": "w", "confirm-count": 5}, "confirm-count", "confirm_count"),
        ("POST", f"{DELETE}?dry_run=true", {"tags": ["w"]}, "dry_run", None),
        ("POST", f"{BULK}?confirm_count=9", {"tag": "w"}, "confirm_count", None),
        ("POST", "/api/manage/cleanup-duplicates", {"dry_run": True}, "dry_run", "dry_run"),
        ("POST", "/api/manage/cleanup-duplicates?dryrun=1", None, "dryrun", "dry_run"),
        ("DELETE", "/api/memories/HASH?stor=other", None, "stor", "store"),
        ("DELETE", "/api/memories/HASH", {"store": "other"}, "store", "store"),
        ("PUT", "/api/memories/HASH", {"type": "note"}, "type", "memory_type"),
        ("PUT", "/api/memories/HASH?partition=other", {"memory_type": "note"}, "partition", "store"),
        ("PUT", "/api/memories/HASH", {"content": "another"}, "content", None),
        ("POST", "/api/memories", {"content": "new", "type": "note"}, "type", "memory_type"),
        ("POST", "/api/memories/bulk", {"memories": [{"content": "new", "tag": "a"}]}, "memories.0.tag", "tags"),
    ],
)
async def test_an_unknown_field_is_named_with_the_nearest_and_nothing_is_changed(
    client: httpx.AsyncClient, *, method: str, path: str, body: Any, field: str, nearest: str | None
) -> None:
    hash_ = await store(client, "kept", tags=["w"], memory_type="kept")
    answer = await client.request(
        method, path.replace("HASH", hash_), json=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["field"]) == ("unknown_field", field)
    assert repr(field.rpartition(".")[2]) in error["message"]
    if nearest is not None:
        assert nearest in error["message"].partition("here")[2]
    kept = (await client.get(f"/api/memories/{hash_}")).json()
    assert (kept["memory_type"], await total(client)) == ("kept", 1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/search", {"query": "tea", "limit": 3, "threshold": 0.1, "quality_boost": True, "quality_weight": 0.3}),
        ("/api/search/by-tag", {"tags": ["w"], "limit": 40, "query": "what was decided"}),
        ("/api/search/by-tag", {"tags": ["w"], "match_all": False, "time_filter": None}),
        ("/api/search/by-time", {"query": "today", "n_results": 5, "semantic_query": "tea"}),
    ],
)
async def test_what_the_original_s_clients_send_to_searches_is_accepted(
    client: httpx.AsyncClient, path: str, body: dict[str, object]
) -> None:
    await store(client, "Tea at four", tags=["w"])
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["total_found"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/search", {"query": "tea", "tag": "w"}),
        ("POST", "/api/search/by-tag", {"tags": ["w"], "operation": "AND"}),
        ("POST", "/api/search/by-time", {"query": "last week", "tags": ["w"]}),
        ("GET", "/api/memories?tags=w", None),
        ("GET", "/api/memories?tag=w&tag=x", None),
    ],
)
async def test_a_search_refuses_what_nobody_sends(client: httpx.AsyncClient, method: str, path: str, body: Any) -> None:
    assert (await client.request(method, path, json=body)).status_code == 422


@pytest.mark.parametrize("field", ["tags", "memory_type", "before", "after", "time_expr", "store"])
@pytest.mark.parametrize("blank", ["", " "])
async def test_a_deletion_refuses_a_condition_that_is_given_and_empty(
    client: httpx.AsyncClient, field: str, blank: str
) -> None:
    await store(client, "kept", tags=["w"], memory_type="note")
    other = {"memory_type": "note"} if field == "tags" else {"tags": ["w"]}
    answer = await client.post(DELETE, json=other | {field: blank})
    assert (answer.status_code, answer.json()["error"]["field"], await total(client)) == (422, field, 1)


async def test_from_the_beginning_alone_is_no_condition_of_a_deletion(client: httpx.AsyncClient) -> None:
    await store(client, "kept")
    assert (await client.post(DELETE, json={"after": 0})).status_code == 422
    assert (await client.get("/api/memories", params={"after": "0"})).json()["total"] == await total(client) == 1
    assert (await client.post("/api/search", json={"after": 0})).json()["total_found"] == 1


async def test_one_memory_is_read_changed_and_deleted_in_its_store_only(client: httpx.AsyncClient) -> None:
    path = f"/api/memories/{await store(client, 'elsewhere', store='work')}"
    assert (await client.get(path)).status_code == 404
    assert (await client.put(path, json={"tags": ["x"]})).status_code == 404
    assert (await client.put(path, json={})).status_code == 404
    assert (await client.delete(path)).status_code == 404
    for way in (client.put(path, params={"store": "all"}, json={"tags": ["x"]}), client.delete(path + "?store=All")):
        refused = await way
        assert (refused.status_code, refused.json()["error"]["field"]) == (400, "store")
    assert (await client.delete(path, params={"store": ""})).status_code == 422
    assert (await client.get(path, params={"store": "all"})).json()["tags"] == []
    assert (await client.get(path, params={"store": "work"})).status_code == 200
    similar = path.replace("/memories/", "/search/similar/")
    assert (await client.get(similar)).status_code == 404
    assert (await client.get(similar, params={"store": "work"})).status_code == 200
    assert (await client.delete(path, params={"store": "work"})).status_code == 200


async def test_tags_and_types_are_those_of_the_default_store(client: httpx.AsyncClient) -> None:
    await store(client, "here", tags=["here"], memory_type="near")
    await store(client, "there", tags=["there"], memory_type="far", store="work")
    for query, tags, types in (("", ["here"], ["near"]), ("?store=work", ["there"], ["far"])):
        assert [tag["tag"] for tag in (await client.get(f"/api/tags{query}")).json()["tags"]] == tags
        assert (await client.get(f"/api/types{query}")).json() == types
    assert len((await client.get("/api/tags?store=all")).json()["tags"]) == 2


async def test_a_bulk_deletion_takes_its_tag_as_it_stands(client: httpx.AsyncClient) -> None:
    for number, tag in enumerate(("a", "b")):
        await store(client, f"memory {number}", tags=[tag])
    for tag in ("a,b", '["a"]', "['a']", ""):
        answer = await client.post(BULK, json={"tag": tag})
        assert answer.status_code == 422 or answer.json()["affected_count"] == 0, tag
    assert await total(client) == 2


async def test_a_dry_run_of_every_deletion_deletes_nothing(client: httpx.AsyncClient) -> None:
    await store(client, "kept", tags=["w"])
    dry = await client.post(BULK, json={"tag": "w", "dry_run": True})
    assert (dry.json()["affected_count"], await total(client)) == (1, 1)
    json_asked = {"Content-Type": "application/json"}
    assert (await client.post("/api/manage/cleanup-duplicates?dry_run=true", headers=json_asked)).status_code == 200
    assert await total(client) == 1


async def test_a_change_without_changes_is_answered_with_the_memory(client: httpx.AsyncClient) -> None:
    hash_ = await store(client, "kept", tags=["w"])
    before = (await client.get(f"/api/memories/{hash_}")).json()
    answer = (await client.put(f"/api/memories/{hash_}", json={})).json()
    assert (answer["success"], answer["message"]) == (True, "No updates provided - memory unchanged")
    assert answer["memory"] == before
