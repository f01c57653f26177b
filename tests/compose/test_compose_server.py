"""compose.yaml: the service and a real Qdrant, closed to everybody else."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from project import ROOT, Project, Start

import release_data
from engine import NATIVE, Image, docker

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("qdrant_image")]

SERVER = "compose.yaml"


def test_up_ends_with_everything_healthy_and_memories_survive_down_and_up(start: Start) -> None:
    project = start(SERVER)
    project.up()
    states = project.states()
    assert {name: states[name]["Health"] for name in ("qdrant", "memory")} == {"qdrant": "healthy", "memory": "healthy"}
    key = project.key()
    with project.client(key) as http:
        health = http.get("/api/health").json()
        assert health["status"] == "ok"
        stored = http.post("/api/memories", json={"content": "Bob bought an electric car"}).json()
    assert "collections" in project.execute("qdrant", "ls", "/qdrant/storage/private/data")
    project.down()
    project.up()
    assert project.key() == key
    with project.client(key) as http:
        assert http.get(f"/api/memories/{stored['content_hash']}").json()["content"] == "Bob bought an electric car"


def test_installations_have_keys_of_their_own_for_their_user_alone(start: Start) -> None:
    keys = []
    for project in (start(SERVER), start(SERVER)):
        project.up("qdrant")
        keys += project.in_volume("keys", "cat /v/api-key /v/qdrant-api-key /v/metrics-key").split()
        modes = project.in_volume("keys", "stat -c '%a %u' /v /v/api-key /v/qdrant-api-key /v/metrics-key").splitlines()
        assert modes == ["700 1000", "600 1000", "600 1000", "600 1000"]
    assert len(set(keys)) == 6
    assert min(map(len, keys)) >= 43


def test_metrics_key_can_be_read_by_prometheus_s_group_and_opens_metrics_alone(start: Start) -> None:
    project = start(SERVER)
    project.up()
    assert project.in_volume("metrics-key", "stat -c '%a %u:%g' /v /v/metrics-key").splitlines() == [
        "750 1000:65534",
        "640 1000:65534",
    ]
    metrics_key = project.in_volume("metrics-key", "cat /v/metrics-key").strip()
    with project.client(metrics_key) as http:
        assert http.get("/metrics").status_code == 200
        assert http.get("/api/memories").status_code == 401


def test_qdrant_cannot_be_reached_from_outside_its_network(start: Start) -> None:
    project = start(SERVER)
    project.up("qdrant")
    assert not project.states()["qdrant"]["Publishers"]
    asked = (
        "import urllib.request, urllib.error\n"
        "try: print(urllib.request.urlopen('http://qdrant:6333/collections', timeout=5).status)\n"
        "except urllib.error.HTTPError as error: print(error.code)"
    )
    project.up()
    assert project.execute("memory", "/usr/bin/python3", "-c", asked).strip() == "401"


@pytest.mark.parametrize("spoil", ["rm /v/qdrant.yaml", "chmod 000 /v/qdrant.yaml"])
def test_qdrant_that_cannot_read_its_key_ends_instead_of_opening(start: Start, spoil: str) -> None:
    project = start(SERVER)
    _start_qdrant_alone(project, spoil)
    seen = _watch(project, "qdrant", lambda container: container["RestartCount"] >= 2)
    assert seen["State"]["Health"]["Status"] != "healthy"
    assert not [check for check in seen["State"]["Health"]["Log"] or [] if "ready: 200" in check["Output"]]
    assert project.in_volume("qdrant-storage", "ls /v").split() == ["private"]


def test_qdrant_with_an_empty_key_is_never_called_healthy(start: Start) -> None:
    project = start(SERVER)
    _start_qdrant_alone(project, "sed -i 's/api_key: .*/api_key: \"\"/' /v/qdrant.yaml")

    def seen_open_twice(container: dict[str, Any]) -> bool:
        checks = container["State"]["Health"]["Log"] or []
        return [check["Output"].strip() for check in checks].count("ready: 200, without a key: 200") >= 2

    assert _watch(project, "qdrant", seen_open_twice)["State"]["Health"]["Status"] != "healthy"


def _start_qdrant_alone(project: Project, spoil: str) -> None:
    """After something happened to its file; an ordinary `up` would write it again."""
    project.up("qdrant")
    project.run("rm", "--stop", "--force", "qdrant")
    project.in_volume("qdrant-config", spoil)
    project.run("up", "--no-build", "--detach", "--no-deps", "qdrant")


def _watch(project: Project, service: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        container: dict[str, Any] = json.loads(docker("inspect", f"{project.name}-{service}-1"))[0]
        if until(container):
            return container
        time.sleep(0.2)
    pytest.fail(f"not seen within a minute: {container['State']}")


def test_service_with_a_wrong_key_for_qdrant_is_never_ready_and_says_why(start: Start) -> None:
    project = start(SERVER)
    project.up("qdrant")
    project.in_volume("keys", "echo not-the-key >/v/qdrant-api-key")
    project.run("up", "--no-build", "--detach", "--no-deps", "memory")

    def refused_twice(container: dict[str, Any]) -> bool:
        checks = container["State"]["Health"]["Log"] or []
        return container["RestartCount"] > 0 or sum("503" in check["Output"] for check in checks) >= 2

    seen = _watch(project, "memory", refused_twice)
    assert seen["State"]["Health"]["Status"] != "healthy"
    log = project.logs("memory")
    assert "MCP_QDRANT_API_KEY" in log
    assert "not-the-key" not in log
    assert "Traceback" not in log


def test_keys_of_the_env_file_are_used(start: Start) -> None:
    project = start(SERVER, MCP_API_KEY="clients-key-from-env-file", QDRANT_API_KEY="qdrant-key-from-env-file")
    project.up()
    with project.client("clients-key-from-env-file") as http:
        assert http.get("/api/memories").status_code == 200
    assert "qdrant-key-from-env-file" in project.in_volume("qdrant-config", "cat /v/qdrant.yaml")


def test_volume_that_root_wrote_is_refused_and_readable_after_the_documented_command(start: Start) -> None:
    project = start(SERVER)
    project.up()
    with project.client() as http:
        stored = http.post("/api/memories", json={"content": "Root wrote this"}).json()
    project.down()
    # As the image that runs as root leaves its volume: at the top, and root's.
    project.in_volume(
        "qdrant-storage",
        "mv /v/private/data/* /v/ && mv /v/private/snapshots /v/ && rm -r /v/private && chown -R 0:0 /v && chmod 755 /v",
    )
    done = project.up(check=False)
    assert done.returncode != 0
    log = project.logs("init")
    assert "docker compose --profile adopt run --rm adopt" in log
    assert "Traceback" not in log

    project.run("down")
    project.run("--profile", "adopt", "run", "--rm", "adopt")
    project.up()
    with project.client() as http:
        assert http.get(f"/api/memories/{stored['content_hash']}").json()["content"] == "Root wrote this"


@pytest.mark.parametrize(
    "archive", sorted(release_data.DATA.glob("release-*-server.tar.gz")), ids=lambda path: path.name
)
def test_volumes_of_an_earlier_release_are_read_whole(start: Start, archive: Path) -> None:
    project = start(SERVER)
    project.run("create", "--no-build")
    image = Image(project.image, NATIVE)
    volumes = {"data": f"{project.name}_memory-data", "qdrant": f"{project.name}_qdrant-storage"}
    release_data.unpack(image, archive, volumes)
    project.up()
    with project.client() as http:
        release_data.expect(http)
        assert http.post("/api/memories", json={"content": "written by this release"}).status_code == 200


def test_alerts_and_dashboard_ask_for_metrics_that_the_service_has(start: Start) -> None:
    project = start(SERVER)
    project.up()
    with project.client() as http:
        http.post("/api/memories", json={"content": "Something to measure"})
        http.post("/api/search", json={"query": "something"})
        exported = http.get("/metrics").text
    known = set(re.findall(r"^# TYPE (\S+)", exported, re.MULTILINE))
    for file in ("alerts.yml", "dashboard.json"):
        asked = set(re.findall(r"mcp_memory_[a-z_]+", (ROOT / "compose" / "monitoring" / file).read_text()))
        assert asked
        assert not {re.sub("_(bucket|count|sum)$", "", name) for name in asked} - known, file
    assert 'operations="reads"' in exported
    assert 'operations="writes"' in exported
