"""How many an answer shows, and how many it says there are."""

from __future__ import annotations

import httpx
import pytest

from mcp_memory.memories import transfer
from mcp_memory.storage.base import BaseStorage
from reference_storage import ReferenceStorage

pytestmark = pytest.mark.anyio
MANY = 600
"""More than two of the pages that are read at a time."""


async def store_many(client: httpx.AsyncClient, count: int) -> None:
    items = [{"content": f"message {number}", "tags": ["inbox"]} for number in range(count)]
    assert (await client.post("/api/memories/bulk", json={"memories": items})).json()["stored"] == count


async def test_a_search_by_tag_without_a_limit_gives_all_and_with_one_says_how_many_there_are(
    client: httpx.AsyncClient,
) -> None:
    await store_many(client, MANY)
    everything = (await client.post("/api/search/by-tag", json={"tags": ["inbox"]})).json()
    found = [hit["memory"] for hit in everything["results"]]
    assert len({memory["content_hash"] for memory in found}) == everything["total_found"] == MANY
    assert [memory["created_at"] for memory in found] == sorted((m["created_at"] for m in found), reverse=True)
    some = (await client.post("/api/search/by-tag", json={"tags": ["inbox"], "limit": 7})).json()
    assert (len(some["results"]), some["total_found"]) == (7, MANY)
    assert set(some) == set(everything)
    assert set(some["results"][0]) == set(everything["results"][0])
    none = (await client.post("/api/search/by-tag", json={"tags": ["nothing"]})).json()
    assert (none["results"], none["total_found"]) == ([], 0)


@pytest.mark.parametrize(("path", "body"), [("/api/search/by-time", {"query": "today"}), ("/api/search", {})])
async def test_a_search_without_a_text_counts_all_that_match(
    client: httpx.AsyncClient, path: str, body: dict[str, str]
) -> None:
    await store_many(client, 12)
    answer = (await client.post(path, json=body)).json()
    assert (len(answer["results"]), answer["total_found"]) == (10, 12)


async def test_a_page_says_how_many_pages_there_are(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/memories")).json()["total_pages"] == 0
    await store_many(client, 11)
    assert (await client.get("/api/memories")).json()["total_pages"] == 2
    assert (await client.get("/api/memories?limit=4")).json()["total_pages"] == 3


async def test_hashes_are_read_on_by_whole_numbers(client: httpx.AsyncClient) -> None:
    await store_many(client, 25)
    seen, cursor = [], 0
    while cursor is not None:
        answer = await client.get(
            "/api/memories/hashes", params={"cursor": cursor, "limit": 4, "include_deleted": "true"}
        )
        page = answer.json()
        seen += page["hashes"]
        cursor = page["next_cursor"]
        assert cursor is None or (isinstance(cursor, int) and cursor < 2**53)
        assert page["has_more"] is (cursor is not None)
    assert len(set(seen)) == len(seen) == 25
    for wrong in ("-1", "x", str(2**53), "1.5"):
        assert (await client.get("/api/memories/hashes", params={"cursor": wrong})).status_code == 422


async def test_hashes_that_share_a_cursor_are_not_left_out(
    client: httpx.AsyncClient, storage: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three bits instead of 52: of forty memories several share each cursor."""
    assert isinstance(storage, ReferenceStorage)
    monkeypatch.setattr(transfer, "_CURSOR_SHIFT", 125)
    await store_many(client, 40)
    seen, cursor = [], 0
    while cursor is not None:
        page = (await client.get("/api/memories/hashes", params={"cursor": cursor, "limit": 2})).json()
        seen += page["hashes"]
        cursor = page["next_cursor"]
    assert len(set(seen)) == len(seen) == 40


async def test_the_model_is_named_as_clients_of_the_original_read_it(client: httpx.AsyncClient) -> None:
    named = (await client.get("/api/health/model")).json()
    assert (named["embedding_model"], named["embedding_dimension"]) == (named["model"], named["dimensions"])
    assert named["backend"] == (await client.get("/api/health")).json()["storage"]["backend"]
