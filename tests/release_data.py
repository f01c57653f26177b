"""Memories of which every release keeps an archive (tests/data/release-*.tar.gz), for all later releases to read."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import httpx

from engine import Image

DATA = Path(__file__).parent / "data"
MEMORIES: tuple[dict[str, Any], ...] = (
    {"content": "Anna drinks green tea every morning", "tags": ["anna", "drinks"], "memory_type": "preference"},
    {"content": "Bob bought an electric car in May", "tags": ["bob"], "metadata": {"price": 31250.5, "seats": 5}},
    {"content": "The spare key lies below the third flower pot", "tags": ["house", "key"]},
    {"content": "Zwei Umlaute: äöü, ein Schriftzeichen: 茶, ein Bild: 🍵", "tags": ["unicode"]},
    {"content": "Backups run at 02:30 and are kept for 14 days", "metadata": {"nested": {"on": True, "list": [1, 2]}}},
    {"content": "This one was deleted before the archive was made"},
)
DELETED = 5


def fill(http: httpx.Client) -> None:
    """Store all of them, delete one."""
    for memory in MEMORIES:
        answer = http.post("/api/memories", json=memory)
        assert answer.status_code == 200, answer.text
        stored = answer.json()["content_hash"]
    assert http.delete(f"/api/memories/{stored}").status_code == 200


def expect(http: httpx.Client) -> None:
    """All that were kept are there, whole, and found by meaning; the deleted one is not."""
    listed = http.get("/api/memories", params={"page_size": 50}).json()["memories"]
    by_content = {memory["content"]: memory for memory in listed}
    assert set(by_content) == {memory["content"] for memory in MEMORIES[:DELETED]}
    for memory in MEMORIES[:DELETED]:
        found = by_content[memory["content"]]
        assert found["tags"] == memory.get("tags", [])
        assert found["metadata"] == memory.get("metadata", {})
        assert found["memory_type"] == memory.get("memory_type")
    results = http.post("/api/search", json={"query": "hot beverages", "n_results": 1}).json()["results"]
    assert "green tea" in str(results[0])


def pack(image: Image, volumes: dict[str, str], archive: Path) -> None:
    """Write volumes (name in the archive to the volume's name) into an archive, without keys."""
    mounts = [part for name, volume in volumes.items() for part in ("--volume", f"{volume}:/pack/{name}:ro")]
    with archive.open("wb") as file:
        subprocess.run(
            [
                *("docker", "run", "--rm", "--user", "0", "--network", "none", *mounts, "--workdir", "/pack"),
                *("--entrypoint", "/usr/bin/tar", image.name, "--exclude=api-key", "--sparse"),
                *(
                    "--sort=name",
                    "--mtime=@0",
                    "--owner=0",
                    "--group=0",
                    "--numeric-owner",
                    "--use-compress-program=gzip -9n",
                    "-c",
                    *volumes,
                ),
            ],
            stdout=file,
            check=True,
        )


def unpack(image: Image, archive: Path, volumes: dict[str, str]) -> None:
    """Fill volumes from an archive, as the installation's user has them."""
    mounts = [part for name, volume in volumes.items() for part in ("--volume", f"{volume}:/pack/{name}")]
    with archive.open("rb") as file:
        subprocess.run(
            [
                *("docker", "run", "--rm", "--interactive", "--user", "0", "--network", "none", *mounts),
                *("--platform", image.platform, "--entrypoint", "/bin/sh", image.name),
                *("-c", "tar -C /pack -xzp && chown -R 1000:1000 /pack/*"),
            ],
            stdin=file,
            check=True,
        )
