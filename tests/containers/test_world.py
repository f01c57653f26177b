"""The network of containers itself: what a test starts finds each other, and nothing stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from containers.leftovers import remove_leftovers
from containers.world import World
from engine import docker

pytestmark = pytest.mark.slow

KILLED = """
import os, signal, sys
from containers.architecture import architecture
from containers.world import World
world = World(architecture(sys.argv[1]))
container = world.begin("server")
print(container.name, world.network.name, *world.volumes, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_service_with_an_embedded_store_answers_and_a_command_sees_the_same_volume(world: World) -> None:
    service = world.service()
    with service.client() as http:
        assert http.post("/api/memories", json={"content": "Anna drinks green tea"}).status_code == 200
    service.stop_gracefully()
    found = world.memory("search", "hot beverages", data=service.data)
    assert found.exit_code == 0, found.output
    assert "green tea" in found.output


def test_service_embeds_at_the_native_endpoint_in_its_network(world: World) -> None:
    endpoint = world.embedding_endpoint()
    service = world.service(**endpoint.settings(dimensions=256))
    with service.client() as http:
        for text in ("Anna drinks green tea", "Bob bought an electric car"):
            assert http.post("/api/memories", json={"content": text}).status_code == 200
        assert http.get("/api/health").json()["storage"]["vector_dimensions"] == 256
        found = http.post("/api/search", json={"query": "vehicles", "mode": "semantic", "n_results": 1}).json()[
            "results"
        ]
    assert [hit["memory"]["content"] for hit in found] == ["Bob bought an electric car"]


def test_files_in_a_volume_are_the_service_s_own(world: World, tmp_path: Path) -> None:
    (tmp_path / "source.db").write_text("rows")
    volume = world.volume_with(tmp_path / "source.db")
    assert world.in_volume(volume, "stat -c %u source.db && cat source.db") == "1000\nrows"


def test_what_a_killed_run_left_is_removed_by_the_next_and_nothing_else(world: World) -> None:
    mine = world.volume()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, world.on.platform],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    left = killed.stdout.split()
    assert len(left) == 3, killed.stderr
    remove_leftovers()
    everything = [
        docker(*what)
        for what in (
            ("ps", "--all", "--format", "{{.Names}}"),
            ("network", "ls", "--format", "{{.Name}}"),
            ("volume", "ls", "--quiet"),
        )
    ]
    assert not [name for name in left if any(name in listed for listed in everything)]
    assert mine in everything[2]
