"""What /api/memories promises."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import numpy as np
import pytest

from embedders import HashEmbedder
from mcp_memory.domain.hashes import has_the_form
from mcp_memory.domain.memory import EmbeddedMemory, Memory
from mcp_memory.storage.base import BaseStorage, UpsertMode

pytestmark = pytest.mark.anyio
UNKNOWN = "0" * 64
DIMENSIONS = HashEmbedder().identity.dimensions


async def store(client: httpx.AsyncClient, content: str, **fields: object) -> str:
    answer = await client.post("/api/memories", json={"content": content, **fields})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["content_hash"])


async def test_a_stored_memory_can_be_read_back(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/memories",
        json={"content": "Tea at four", "tags": "Food, tea", "memory_type": "note", "metadata": {"cups": 2}},
    )
    stored = answer.json()
    assert answer.status_code == 200
    assert stored["success"] is True
    memory = (await client.get(f"/api/memories/{stored['content_hash']}")).json()
    assert memory == stored["memory"]
    assert memory["content"] == "Tea at four"
    assert memory["tags"] == ["food", "tea"]
    assert memory["memory_type"] == "note"
    assert memory["metadata"] == {"cups": 2}
    assert memory["created_at_iso"].endswith("Z")
    assert memory["updated_at"] >= memory["created_at"] > 1.6e9


FOREIGN = [
    "assoc_2024_abc",
    "insight_7",
    "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08",
    "3f2b8c1e-9a44-4f6e-8d2b-1c5e7a9b0d13",
    "a/b/../c?d=1#e%2F",
    "naïve ключ",
    "x",
]


@pytest.mark.parametrize("id_", FOREIGN)
async def test_whatever_a_memory_is_called_it_can_be_read_changed_found_and_deleted(
    client: httpx.AsyncClient, storage: BaseStorage, id_: str
) -> None:
    memory = Memory("brought along", id_, 5.0, 5.0)
    vector = np.eye(1, DIMENSIONS, dtype=np.float32)[0]
    await storage.upsert([EmbeddedMemory(memory, vector)], mode=UpsertMode.INSERT)
    await store(client, "another one")
    path = f"/api/memories/{quote(id_, safe='')}"
    assert (await client.get(path)).json()["content"] == "brought along"
    assert (await client.put(path, json={"tags": ["seen"]})).json()["memory"]["tags"] == ["seen"]
    similar = await client.get(f"/api/search/similar/{quote(id_, safe='')}")
    assert [hit["memory"]["content"] for hit in similar.json()["results"]] == ["another one"]
    seen: list[str] = []
    answer = {"next_cursor": None, "has_more": True}
    while answer["has_more"]:
        parameters = {"limit": 1} | ({"cursor": answer["next_cursor"]} if answer["next_cursor"] else {})
        answer = (await client.get("/api/memories/hashes", params=parameters)).json()
        seen += answer["hashes"]
    assert id_ in seen
    assert len(seen) == 2
    asked = await client.post("/api/memories/delete", json={"hashes": [id_], "dry_run": True})
    assert asked.json()["hashes"] == [id_]
    assert (await client.delete(path)).json()["content_hash"] == id_
    gone = 404 if has_the_form(id_) else 422
    assert (await client.get(path)).status_code == gone
    assert (await client.delete(path)).status_code == gone


@pytest.mark.parametrize("malformed", ["%20", "a%00b", "x" * 600])
async def test_what_can_be_no_hash_is_422_and_nothing_behind_the_slash_another_address(
    client: httpx.AsyncClient, malformed: str
) -> None:
    for method in ("GET", "DELETE"):
        assert (await client.request(method, f"/api/memories/{malformed}")).status_code == 422
    assert (await client.get("/api/memories/", follow_redirects=True)).json()["total"] == 0


async def test_a_duplicate_is_answered_with_the_stored_memory(client: httpx.AsyncClient) -> None:
    first = await store(client, "Tea at four")
    answer = await client.post("/api/memories", json={"content": " TEA at four "})
    assert answer.status_code == 200
    assert answer.json()["success"] is False
    assert answer.json()["status"] == "duplicate"
    assert answer.json()["memory"]["content_hash"] == first
    assert first in answer.json()["message"]


async def test_pages_hold_every_memory_once_newest_first(client: httpx.AsyncClient) -> None:
    hashes = [await store(client, f"memory number {number}") for number in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        answer = (
            await client.get("/api/memories", params={"page_size": 3} | ({"cursor": cursor} if cursor else {}))
        ).json()
        seen += [memory["content_hash"] for memory in answer["memories"]]
        assert answer["total"] == 7
        cursor = answer["next_cursor"]
        assert answer["has_more"] is (cursor is not None)
        if cursor is None:
            break
    assert seen == hashes[::-1]
    second = (await client.get("/api/memories", params={"page": 2, "page_size": 3})).json()
    assert [memory["content_hash"] for memory in second["memories"]] == hashes[::-1][3:6]


async def test_an_update_replaces_tags_and_merges_metadata(client: httpx.AsyncClient) -> None:
    content_hash = await store(client, "Tea at four", tags=["a"], metadata={"kept": 1, "changed": 1})
    answer = await client.put(f"/api/memories/{content_hash}", json={"tags": ["b"], "metadata": {"changed": 2}})
    assert answer.status_code == 200
    assert answer.json()["memory"]["tags"] == ["b"]
    assert answer.json()["memory"]["metadata"] == {"kept": 1, "changed": 2}


async def test_a_deleted_memory_is_gone(client: httpx.AsyncClient) -> None:
    content_hash = await store(client, "Tea at four")
    assert (await client.delete(f"/api/memories/{content_hash}")).json()["success"] is True
    for method in ("GET", "DELETE"):
        answer = await client.request(method, f"/api/memories/{content_hash}")
        assert answer.status_code == 404
        assert answer.json()["detail"] == "Memory not found"
        assert answer.json()["error"]["code"] == "memory_not_found"


async def test_bulk_store_answers_for_each_item(client: httpx.AsyncClient) -> None:
    await store(client, "known")
    items = [{"content": "new"}, {"content": "known"}, {"content": "  "}, {"content": "NEW"}]
    answer = (await client.post("/api/memories/bulk", json={"memories": items})).json()
    assert [result["status"] for result in answer["results"]] == ["stored", "duplicate", "invalid", "duplicate"]
    assert (answer["stored"], answer["duplicates"], answer["invalid"]) == (1, 2, 1)
    assert answer["success"] is False


async def test_bulk_store_can_refuse_all_for_one(client: httpx.AsyncClient) -> None:
    items = [{"content": "fine"}, {"content": ""}]
    answer = await client.post("/api/memories/bulk", json={"memories": items, "skip_invalid": False})
    assert answer.status_code == 422
    assert (await client.get("/api/memories")).json()["total"] == 0


async def test_forget_counts_in_a_dry_run_and_then_deletes(client: httpx.AsyncClient) -> None:
    for number in range(3):
        await store(client, f"old {number}", tags=["old"])
    await store(client, "kept")
    request = {"tags": ["old"], "dry_run": True}
    assert (await client.post("/api/memories/delete", json=request)).json()["count"] == 3
    assert (await client.get("/api/memories")).json()["total"] == 4
    assert (await client.post("/api/memories/delete", json=request | {"dry_run": False})).json()["count"] == 3
    assert [m["content"] for m in (await client.get("/api/memories")).json()["memories"]] == ["kept"]


async def test_hashes_are_listed_once_each_across_pages(client: httpx.AsyncClient) -> None:
    stored = {await store(client, f"memory {number}") for number in range(5)}
    listed: list[str] = []
    cursor = None
    while True:
        answer = (
            await client.get("/api/memories/hashes", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        listed += answer["hashes"]
        cursor = answer["next_cursor"]
        if not answer["has_more"]:
            break
    assert sorted(listed) == sorted(stored)


async def test_an_agent_id_becomes_a_tag(client: httpx.AsyncClient) -> None:
    body = {"content": "from an agent", "tags": ["x"]}
    answer = await client.post("/api/memories", json=body, headers={"X-Agent-ID": "planner"})
    assert answer.json()["memory"]["tags"] == ["x", "agent:planner"]


async def test_bulk_delete_needs_the_right_count(client: httpx.AsyncClient) -> None:
    for number in range(2):
        await store(client, f"old {number}", tags=["old"])
    refused = await client.post("/api/manage/bulk-delete", json={"tag": "old", "confirm_count": 3})
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "confirmation_mismatch"
    done = await client.post("/api/manage/bulk-delete", json={"tag": "old", "confirm_count": 2})
    assert done.json()["affected_count"] == 2
    assert done.json()["operation"] == "bulk_delete"


async def test_a_memory_moves_to_the_store_in_the_body_and_keeps_what_it_has(client: httpx.AsyncClient) -> None:
    hash_ = await store(client, "The lease ends in May", tags=["office"], metadata={"floor": 3})
    before = (await client.get(f"/api/memories/{hash_}")).json()
    moved = await client.put(f"/api/memories/{hash_}", json={"store": "work", "add_tags": ["lease"]})
    assert moved.json()["success"] is True
    assert (await client.get(f"/api/memories/{hash_}")).status_code == 404
    after = (await client.get(f"/api/memories/{hash_}", params={"store": "work"})).json()
    assert after == moved.json()["memory"]
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"store", "tags", "updated_at", "updated_at_iso"}
    assert (after["store"], after["tags"]) == ("work", ["office", "lease"])
    elsewhere = await client.put(f"/api/memories/{hash_}", json={"store": "default"})
    assert elsewhere.status_code == 404  # it is in work now, and the query says where it is
    back = {"store": "default", "remove_tags": "lease"}
    answer = await client.put(f"/api/memories/{hash_}", params={"store": "work"}, json=back)
    assert (answer.json()["memory"]["store"], answer.json()["memory"]["tags"]) == ("default", ["office"])


async def test_many_memories_move_at_once_and_hashes_that_name_none_are_told(client: httpx.AsyncClient) -> None:
    hashes = [await store(client, f"memory number {number}", tags=["all"]) for number in range(3)]
    body: dict[str, object] = {"hashes": [hashes[0][:12], *hashes[1:], UNKNOWN], "store": "work"}
    answer = await client.post("/api/memories/update", json=body)
    assert answer.json() == {
        "success": False,
        "message": "3 memories updated; 1 of the hashes name none",
        "updated": 3,
        "hashes": hashes,
        "missing": [UNKNOWN],
    }
    assert (await client.get("/api/memories", params={"store": "work"})).json()["total"] == 3
    # What isn't in the store of the query isn't touched.
    other = await client.post("/api/memories/update", params={"store": "default"}, json={"hashes": hashes, "tags": []})
    assert other.status_code == 404
    tagged = await client.post("/api/memories/update", json={"hashes": hashes[:1], "add_tags": "first"})
    assert (tagged.json()["success"], tagged.json()["message"]) == (True, "1 memory updated")
    page = (await client.get("/api/memories", params={"store": "work", "tag": "first"})).json()
    assert [memory["tags"] for memory in page["memories"]] == [["all", "first"]]


@pytest.mark.parametrize(
    ("target", "status"),
    [("all", 400), ("ALL ", 400), ("", 422), (" ", 422), ("x" * 300, 422), (7, 422)],
)
async def test_a_move_to_what_is_no_store_moves_nothing(client: httpx.AsyncClient, target: object, status: int) -> None:
    hash_ = await store(client, "stays where it is")
    assert (await client.put(f"/api/memories/{hash_}", json={"store": target})).status_code == status
    many = await client.post("/api/memories/update", json={"hashes": [hash_], "store": target})
    assert many.status_code == status
    assert (await client.get(f"/api/memories/{hash_}")).json()["store"] == "default"


@pytest.mark.parametrize("body", [{"hashes": []}, {"hashes": ["nonsense"], "store": "work"}, {"store": "work"}])
async def test_a_change_of_many_that_is_not_clear_changes_nothing(
    client: httpx.AsyncClient, body: dict[str, object]
) -> None:
    hash_ = await store(client, "stays where it is")
    named = {**body, "hashes": [hash_, *body["hashes"]]} if body.get("hashes") else body  # type: ignore[misc]
    assert (await client.post("/api/memories/update", json=named)).status_code == 422
    assert (await client.get("/api/memories", params={"store": "default"})).json()["total"] == 1
