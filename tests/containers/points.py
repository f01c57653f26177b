"""What a Qdrant node itself holds, past the service."""

from __future__ import annotations

from typing import Any

import httpx

from containers.qdrant import Qdrant


def count(qdrant: Qdrant, collection: str = "memories") -> int:
    """Points in a collection or behind an alias; 0 where there is none yet."""
    answer = _ask(qdrant, f"/collections/{collection}/points/count", {"exact": True})
    if answer.status_code == httpx.codes.NOT_FOUND:
        return 0
    return int(answer.raise_for_status().json()["result"]["count"])


def points(qdrant: Qdrant, collection: str = "memories") -> list[dict[str, Any]]:
    """All of them, each with its payload and its vectors."""
    wanted = {"limit": 1_000_000, "with_payload": True, "with_vector": True}
    answer = _ask(qdrant, f"/collections/{collection}/points/scroll", wanted).raise_for_status()
    return list(answer.json()["result"]["points"])


def dense_vector(point: dict[str, Any]) -> list[float]:
    """The one that is the model's."""
    (vector,) = [vector for vector in point["vector"].values() if isinstance(vector, list)]
    return vector


def _ask(qdrant: Qdrant, path: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{qdrant.url}{path}", json=body, headers={"api-key": qdrant.key}, timeout=60)
