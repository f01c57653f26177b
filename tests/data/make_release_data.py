"""Make tests/data/release-<version>-{embedded,server}.tar.gz: volumes as this release writes them, kept for all later releases.

usage: PYTHONPATH=tests:tests/compose python tests/data/make_release_data.py VERSION IMAGE
"""

from __future__ import annotations

import sys

import httpx
from project import Project

from engine import NATIVE, Engine, Image
from release_data import DATA, fill, pack


def embedded(image: Image, version: str) -> None:
    engine = Engine(image)
    try:
        volume = engine.volume()
        container = engine.run(options=["--publish", "127.0.0.1::8000", "--volume", f"{volume}:/data"])
        container.wait_healthy()
        key = container.execute("memory", "key").strip()
        with httpx.Client(base_url=container.url(), headers={"Authorization": f"Bearer {key}"}, timeout=60) as http:
            fill(http)
        container.stop()
        pack(image, {"data": volume}, DATA / f"release-{version}-embedded.tar.gz")
    finally:
        engine.close(show_logs=False)


def server(image: Image, version: str) -> None:
    project = Project(("compose.yaml",), image.name)
    try:
        project.up()
        with project.client() as http:
            fill(http)
        project.down()
        volumes = {"data": f"{project.name}_memory-data", "qdrant": f"{project.name}_qdrant-storage"}
        pack(image, volumes, DATA / f"release-{version}-server.tar.gz")
    finally:
        project.remove()


if __name__ == "__main__":
    made_by = Image(sys.argv[2], NATIVE)
    embedded(made_by, sys.argv[1])
    server(made_by, sys.argv[1])
