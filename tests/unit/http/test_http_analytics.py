"""Figures of the original's dashboard, in its shapes."""

from __future__ import annotations

import httpx
import pytest

from embedders import HashEmbedder
from mcp_memory.memories.requests import Conditions, NewMemory
from mcp_memory.memories.service import Memories
from reference_storage import ReferenceStorage

pytestmark = pytest.mark.anyio
STORED = [
    {"content": "one", "tags": ["a", "b"], "memory_type": "note"},
    {"content": "two", "tags": ["a"], "memory_type": "note"},
    {"content": "three", "tags": ["c"]},
    {"content": "elsewhere", "tags": ["d"], "memory_type": "decision", "store": "work"},
]


@pytest.fixture
async def filled(client: httpx.AsyncClient) -> httpx.AsyncClient:
    assert (await client.post("/api/memories/bulk", json={"memories": STORED})).json()["stored"] == len(STORED)
    return client


async def test_tag_statistics_are_of_every_store(filled: httpx.AsyncClient) -> None:
    answer = (await filled.get("/api/manage/tags/stats")).json()
    assert answer["total_tags"] == 4
    assert answer["tags"][0] == {"tag": "a", "count": 2, "last_used": None, "memory_types": []}
    assert {entry["tag"]: entry["count"] for entry in answer["tags"]} == {"a": 2, "b": 1, "c": 1, "d": 1}


@pytest.mark.parametrize("period", ["all", "week", "month"])
async def test_tag_usage_is_a_part_of_the_stores_memories(filled: httpx.AsyncClient, period: str) -> None:
    answer = (await filled.get("/api/analytics/tag-usage", params={"limit": 1, "period": period})).json()
    assert answer == {
        "tags": [{"tag": "a", "count": 2, "percentage": 66.7, "growth_rate": None}],
        "total_memories": 3,
        "period": period,
    }
    assert (await filled.get("/api/analytics/tag-usage?store=all")).json()["total_memories"] == 4


async def test_an_old_memory_is_none_of_this_week(filled: httpx.AsyncClient, storage: ReferenceStorage) -> None:
    await Memories(storage, HashEmbedder()).import_many([NewMemory("old", tags=["old"], created_at=1e9)])
    recent = (await filled.get("/api/analytics/tag-usage?period=week")).json()
    assert "old" not in {entry["tag"] for entry in recent["tags"]}
    overview = (await filled.get("/api/analytics/overview")).json()
    assert (overview["total_memories"], overview["memories_this_week"], overview["memories_this_month"]) == (4, 3, 3)


async def test_types_count_those_without_one(filled: httpx.AsyncClient) -> None:
    answer = (await filled.get("/api/analytics/memory-types")).json()
    assert answer["total_memories"] == 3
    assert answer["types"] == [
        {"memory_type": "note", "count": 2, "percentage": 66.7},
        {"memory_type": "untyped", "count": 1, "percentage": 33.3},
    ]


async def test_superseded_memories_count_in_no_figure(filled: httpx.AsyncClient, storage: ReferenceStorage) -> None:
    memories = Memories(storage, HashEmbedder())
    old = (await memories.page(Conditions(tags="b"))).memories[0]
    await memories.store(NewMemory("newer", memory_type="fact"), replaces=old.content_hash)
    types = (await filled.get("/api/analytics/memory-types")).json()
    assert types["total_memories"] == 3 == sum(entry["count"] for entry in types["types"])
    assert (await filled.get("/api/analytics/overview")).json()["total_memories"] == 3


async def test_an_overview_of_a_store_or_of_all(filled: httpx.AsyncClient) -> None:
    answer = (await filled.get("/api/analytics/overview")).json()
    assert (answer["total_memories"], answer["memories_this_week"], answer["unique_tags"]) == (3, 3, 3)
    assert answer["uptime_seconds"] >= 0
    assert set(answer) == {
        "total_memories",
        "memories_this_week",
        "memories_this_month",
        "unique_tags",
        "database_size_mb",
        "uptime_seconds",
        "backend_type",
    }
    assert (await filled.get("/api/analytics/overview?store=all")).json()["unique_tags"] == 4


async def test_an_empty_store_has_no_figures(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/analytics/tag-usage")).json() == {"tags": [], "total_memories": 0, "period": "all"}
    assert (await client.get("/api/analytics/memory-types")).json() == {"types": [], "total_memories": 0}
    assert (await client.get("/api/manage/tags/stats")).json() == {"tags": [], "total_tags": 0}


async def test_an_unknown_period_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/analytics/tag-usage?period=century")).status_code == 422
