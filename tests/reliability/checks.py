"""What must be true of a store after kills: memories, counts, hashes and vectors agree with the ledger."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import httpx

from reliability.ledger import Stored
from reliability.writers import Load

AT_ONCE = 8


async def everything(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """All memories, by the listing's cursor; its total agrees with the pages, with the hashes and with the statistics."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await client.get("/api/memories", params={"page_size": 100, **cursor})).raise_for_status().json()
        found += page["memories"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert page["total"] == len(found)
    stats = (await client.get("/api/storage/stats")).raise_for_status().json()
    assert stats["vectors_count"] == len(found)
    hashes = (await client.get("/api/memories/hashes", params={"limit": 5000})).raise_for_status().json()["hashes"]
    assert sorted(hashes) == sorted(memory["content_hash"] for memory in found)
    return found


async def settle(load: Load) -> None:
    """Look at what became of requests that weren't answered."""
    ledger = load.ledger
    async with load.client() as client:
        for text in ledger.uncertain:
            answer = await client.get(f"/api/memories/{ledger.hash_of(text)}")
            assert answer.status_code in {200, 404}, answer.text
            ledger.observe(text, Stored.of(answer.json()) if answer.status_code == 200 else None)


async def check_vectors(client: httpx.AsyncClient, texts: list[str]) -> None:
    """Each text is its own nearest neighbour: the vector that is stored is the text's."""

    async def check(text: str) -> None:
        query = {"query": text, "mode": "semantic", "n_results": 1}
        (hit,) = (await client.post("/api/search", json=query)).raise_for_status().json()["results"]
        assert hit["memory"]["content"] == text
        assert hit["similarity_score"] > 0.999, (text, hit["similarity_score"])

    for start in range(0, len(texts), AT_ONCE):
        await asyncio.gather(*(check(text) for text in texts[start : start + AT_ONCE]))


async def check_all(load: Load, dice: random.Random, *, samples: int | None) -> None:
    """Exactly what was acknowledged is there, and the vectors of so many texts (None: of all) are theirs."""
    async with load.client() as client:
        load.ledger.compare(await everything(client))
        texts = sorted(load.ledger.stored)
        await check_vectors(client, texts if samples is None else dice.sample(texts, min(samples, len(texts))))
