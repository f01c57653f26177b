"""Health, probes, metrics and folders of the image beside a real Qdrant: while it is there, gone, and back."""

from __future__ import annotations

import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from containers.report import Figures
from containers.service import Service
from containers.world import World
from service_answers import OPEN, error_of, until

pytestmark = pytest.mark.slow

OPEN_SECONDS, EMULATED_OPEN_SECONDS = 6, 30
"""The breaker's minute, shortened; long enough for the requests that are refused meanwhile."""
PATIENCE = 300.0
GUIDE = {"status": "ok", "storage": {"backend": "qdrant", "status": "healthy", "collections": 1}}
"""The user guide's answer of /api/health."""


def metric(service: Service, name: str, **labels: str) -> float:
    """One sample of a scrape, which is parsed whole."""
    with service.client() as http:
        answer = http.get("/metrics").raise_for_status()
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    (value,) = [sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()]
    return value


@pytest.mark.parametrize("store", ["server", "embedded"])
def test_health_is_the_guide_s_and_needs_no_key(world: World, store: str) -> None:
    service = world.service(*([world.qdrant()] if store == "server" else []))
    with httpx.Client(base_url=service.url, timeout=60) as nobody:
        health = nobody.get("/api/health")
        assert health.status_code == 200
        body = health.json()
        assert body["storage"].pop("vector_dimensions") == 384
        assert body == GUIDE
        assert [nobody.get(path).status_code for path in ("/livez", "/readyz")] == [200, 200]
        assert nobody.get("/api/memories").status_code == 401


def test_qdrant_gone_is_degraded_and_refused_in_the_guide_s_words_until_it_is_back(
    world: World, figures: Figures
) -> None:
    open_seconds = OPEN_SECONDS if world.on.service.native else EMULATED_OPEN_SECONDS
    qdrant = world.qdrant()
    service = world.service(qdrant, MCP_BREAKER_SECONDS=str(open_seconds))
    with service.client() as http:
        kept = http.post("/api/memories", json={"content": "stored before Qdrant was stopped"})
        assert kept.status_code == 200, kept.text
        assert metric(service, "mcp_memory_circuit_breaker_state", operations="reads") == 0

        qdrant.stop_gracefully()
        for _ in range(5):
            status, code, message = error_of(http.get("/api/memories"))
            assert (status, code) == (503, "storage_unavailable"), message
        for answer in (http.get("/api/memories"), http.post("/api/memories", json={"content": "refused"})):
            status, code, message = error_of(answer)
            assert (status, code) == (503, "circuit_open"), message
            assert OPEN.fullmatch(message), message
            assert 1 <= int(answer.headers["Retry-After"]) <= open_seconds
        health = http.get("/api/health")
        assert health.status_code == 503
        assert (health.json()["status"], health.json()["storage"]["status"]) == ("degraded", "unhealthy")
        assert [http.get(path).status_code for path in ("/livez", "/readyz")] == [200, 503]
        assert metric(service, "mcp_memory_circuit_breaker_state", operations="reads") == 2

        qdrant.start_again()
        back = time.monotonic()
        until(lambda: http.get("/api/memories").status_code == 200, seconds=PATIENCE)
        figures("first answer after Qdrant was back", time.monotonic() - back, "s")
        until(lambda: http.get("/readyz").status_code == 200, seconds=PATIENCE)
        assert metric(service, "mcp_memory_circuit_breaker_state", operations="reads") == 0
        assert http.get(f"/api/memories/{kept.json()['content_hash']}").status_code == 200
        assert http.post("/api/memories", json={"content": "stored after the failure"}).status_code == 200
        assert http.get("/api/health").json()["status"] == "ok"


def test_a_service_that_starts_before_qdrant_is_alive_and_becomes_ready_by_itself(world: World) -> None:
    qdrant = world.qdrant()
    qdrant.stop_gracefully()
    service = world.service(qdrant, ready="/livez", MCP_BREAKER_SECONDS="1")
    with service.client() as http:
        assert http.get("/readyz").status_code == 503
        qdrant.start_again()
        until(lambda: http.get("/readyz").status_code == 200, seconds=PATIENCE)
        assert http.post("/api/memories", json={"content": "stored as soon as it could be"}).status_code == 200


def test_folders_of_storage_open_to_their_user_alone(world: World) -> None:
    qdrant = world.qdrant()
    for service in (world.service(qdrant), world.service(alias="embedded")):
        with service.client() as http:
            assert http.post("/api/memories", json={"content": "Nobody else may read this"}).status_code == 200
    assert world.in_volume(qdrant.storage, "stat -c '%n %a %u' private").split() == ["private", "700", "1000"]
    assert world.in_volume(service.data, "stat -c '%n %a %u' . qdrant").splitlines() == [
        ". 700 1000",
        "qdrant 700 1000",
    ]
    assert world.in_volume(service.data, "find . -type d ! -perm 700") == ""


def test_metrics_count_what_was_asked(world: World) -> None:
    service = world.service(world.qdrant())
    with service.client() as http:
        for number in range(3):
            assert http.post("/api/memories", json={"content": f"measured {number}"}).status_code == 200
        assert http.post("/api/search", json={"query": "measured"}).status_code == 200
    requests = "mcp_memory_http_request_duration_seconds_count"
    assert metric(service, requests, route="/api/memories", method="POST", status="200") == 3
    assert metric(service, requests, route="/api/search", method="POST", status="200") == 1
    assert metric(service, "mcp_memory_embedding_batch_size_count") >= 1
    assert metric(service, "mcp_memory_build_info") == 1
    until(lambda: metric(service, "mcp_memory_memories") == 3, seconds=PATIENCE)
