"""Times in words, in sentences and as a bound, as the original's clients send them."""

from __future__ import annotations

from dataclasses import replace

import httpx
import numpy as np
import pytest

from mcp_memory.memories import service
from mcp_memory.storage.base import BaseStorage
from storage_samples import memory as sample

pytestmark = pytest.mark.anyio


@pytest.fixture
async def yesterday_and_today(client: httpx.AsyncClient, storage: BaseStorage) -> httpx.AsyncClient:
    now = service.time.time()
    for days, text in ((0, "boats of today"), (1, "boats of yesterday"), (3, "boats of long ago")):
        item = sample(text, tags=("boat",), created_at=now - days * 86_400)
        await storage.upsert([replace(item, vector=np.eye(384, dtype=np.float32)[days])])
    return client


async def found(client: httpx.AsyncClient, path: str, **body: object) -> list[str]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return sorted(hit["memory"]["content"].removeprefix("boats of ") for hit in answer.json()["results"])


async def test_the_time_of_a_search_by_tag_says_since_when(yesterday_and_today: httpx.AsyncClient) -> None:
    for time_filter, expected in (
        ("yesterday", ["today", "yesterday"]),
        ("today", ["today"]),
        ("last 2 days", ["today", "yesterday"]),
        ("2 days ago", ["today", "yesterday"]),
        ("lately", ["long ago", "today", "yesterday"]),
    ):
        for limit in (None, 50):
            assert (
                await found(
                    yesterday_and_today, "/api/search/by-tag", tags=["boat"], time_filter=time_filter, limit=limit
                )
                == expected
            )


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("yesterday", ["yesterday"]),
        ("what did we do yesterday about boats", ["yesterday"]),
        ("what have we done lately?", ["long ago", "today", "yesterday"]),
        ("show me recent decisions", ["long ago", "today", "yesterday"]),
        ("anything earlier today", ["today"]),
    ],
)
async def test_a_search_by_time_reads_sentences(
    yesterday_and_today: httpx.AsyncClient, sentence: str, expected: list[str]
) -> None:
    assert await found(yesterday_and_today, "/api/search/by-time", query=sentence) == expected


async def test_a_sentence_without_a_time_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/search/by-time", json={"query": "what about boats"})).status_code == 400


@pytest.mark.parametrize("limit", [None, 5])
async def test_a_time_filter_that_can_t_be_read_is_400_as_in_the_original(
    client: httpx.AsyncClient, limit: int | None
) -> None:
    body = {"tags": ["boat"], "time_filter": "invalid-date-format", "limit": limit}
    answer = await client.post("/api/search/by-tag", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == "time_filter"
    assert (await client.post("/api/search/by-tag", json={"tags": ["a" * 500]})).status_code == 422
