"""Installations that a test starts, and their logs where it failed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import Project, Start

from engine import NOT_ASKED, docker, required
from outcome import failed
from qdrant_server import UNPRIVILEGED_IMAGE

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One line for all that isn't asked for; the files themselves can be read wherever compose is."""
    if not os.environ.get("TEST_IMAGE"):
        for item in items:
            if item.path.is_relative_to(HERE) and item.path.name != "test_compose_files.py":
                item.add_marker(pytest.mark.skip(reason=NOT_ASKED))


@pytest.fixture(scope="session")
def qdrant_image() -> str:
    if not docker("image", "ls", "--quiet", UNPRIVILEGED_IMAGE, check=False).strip():
        pytest.skip(f"the image {UNPRIVILEGED_IMAGE} is not there: docker pull {UNPRIVILEGED_IMAGE}")
    return UNPRIVILEGED_IMAGE


@pytest.fixture(scope="session")
def proxy_image() -> str:
    image = os.environ.get("TEST_PROXY_IMAGE", "mcp-memory-proxy:local")
    if not docker("image", "ls", "--quiet", image, check=False).strip():
        pytest.skip(f"the image {image} is not there: `make image` builds it")
    return image


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Makes installations of the image under test: `start("compose.yaml", MCP_TIMEZONE="UTC")`."""
    image = required("TEST_IMAGE")
    proxy = os.environ.get("TEST_PROXY_IMAGE", "mcp-memory-proxy:local")
    projects: list[Project] = []

    def make(*files: str, **settings: str) -> Project:
        projects.append(Project(files, image, proxy, settings=settings))
        return projects[-1]

    yield make
    for project in projects:
        if failed(request):
            print(f"--- {project.name}\n{project.logs()}")
        project.remove()
