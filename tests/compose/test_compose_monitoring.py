"""compose/monitoring.yaml: Prometheus scrapes the service with a key of its own and knows the alerts.

The images of Prometheus and Grafana are large and somebody else's: here Debian's Prometheus stands in, with the file's own
configuration, volumes, user and group. Grafana's part is read, not run (test_compose_files.py).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from project import Start, free_port

from engine import docker

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("qdrant_image")]

STAND_IN = """
services:
  prometheus:
    image: memory-test-prometheus:local
    pull_policy: never
    entrypoint: [prometheus]
    healthcheck: {test: [CMD, bash, -c, "exec 3<>/dev/tcp/127.0.0.1/9090"]}
"""


@pytest.fixture(scope="module")
def prometheus_image() -> None:
    build = ("buildx", "bake", "--file", "docker/docker-bake.hcl", "--progress", "quiet")
    docker(
        *(*build, "--set", "alerts.tags=memory-test-prometheus:local", "--set", "alerts.output=type=docker", "alerts"),
        timeout=600,
    )


@pytest.mark.usefixtures("prometheus_image")
def test_prometheus_scrapes_with_the_metrics_key_and_loads_every_alert(start: Start, tmp_path: Path) -> None:
    stand_in = tmp_path / "stand-in.yaml"
    stand_in.write_text(STAND_IN)
    port = free_port()
    project = start(
        *("compose.yaml", "compose/monitoring.yaml", str(stand_in)),
        GRAFANA_PASSWORD="not used here",
        PROMETHEUS_PORT=str(port),
    )
    project.up("prometheus")
    url = f"http://127.0.0.1:{port}/api/v1"
    deadline = time.monotonic() + 60
    while _health(targets := _data(f"{url}/targets")["activeTargets"]) != ["up"]:
        assert time.monotonic() < deadline, targets
        time.sleep(0.5)
    rules = _data(f"{url}/rules")["groups"][0]["rules"]
    assert {rule["name"] for rule in rules} >= {"MemoryServiceDown", "MemoryStorageUnavailable", "MemoryDiskFull"}
    assert not [rule for rule in rules if rule["health"] == "err"]
    while not (found := _data(f"{url}/query?query=mcp_memory_build_info")["result"]):
        assert time.monotonic() < deadline, "nothing of what was scraped can be asked for"
        time.sleep(0.5)
    assert [sample["metric"]["job"] for sample in found] == ["memory"]


def _data(url: str) -> dict[str, Any]:
    answer = httpx.get(url, timeout=30)
    answer.raise_for_status()
    return dict(answer.json()["data"])


def _health(targets: list[dict[str, str]]) -> list[str]:
    return [target["health"] for target in targets]
