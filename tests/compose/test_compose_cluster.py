"""compose/cluster.yaml: three Qdrant nodes, two replicas behind a proxy; a node may die."""

from __future__ import annotations

import httpx
import pytest
from project import Start

from engine import docker

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("qdrant_image", "proxy_image")]


def test_memories_stay_readable_and_writable_while_a_node_and_a_replica_are_gone(start: Start) -> None:
    project = start("compose/cluster.yaml")
    project.up(timeout=400)
    with project.client(project.key()) as http:
        hashes = [_stored(http.post("/api/memories", json={"content": f"before {number}"})) for number in range(10)]
        docker("kill", f"{project.name}-qdrant-2-1", f"{project.name}-memory-1")
        hashes += [_stored(http.post("/api/memories", json={"content": f"after {number}"})) for number in range(10)]
        for content_hash in hashes:
            assert http.get(f"/api/memories/{content_hash}").status_code == 200


def _stored(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["content_hash"])
