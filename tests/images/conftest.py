"""Images by platform, and the containers of one test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import NOT_ASKED, PLATFORMS, Engine, Image, required, why_not
from filesystem import FileSystem
from outcome import failed

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One line for all that isn't asked for."""
    if not any(os.environ.get(name) for name in ("TEST_IMAGE", "TEST_TORCH_IMAGE")):
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason=NOT_ASKED))


@pytest.fixture(scope="session", params=PLATFORMS)
def image(request: pytest.FixtureRequest) -> Image:
    """The default image, on each platform that this machine can run."""
    return _image("TEST_IMAGE", request.param)


@pytest.fixture(scope="session", params=PLATFORMS)
def torch_image(request: pytest.FixtureRequest) -> Image:
    return _image("TEST_TORCH_IMAGE", request.param)


def _image(variable: str, on: str) -> Image:
    name = required(variable)
    if (reason := why_not(name, on)) is not None:
        pytest.skip(reason)
    return Image(name, on)


@pytest.fixture
def engine(image: Image, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Starts containers of the default image; shows their logs where the test failed."""
    yield from _engine(image, request)


@pytest.fixture
def torch_engine(torch_image: Image, request: pytest.FixtureRequest) -> Iterator[Engine]:
    yield from _engine(torch_image, request)


def _engine(image: Image, request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = Engine(image)
    yield engine
    engine.close(show_logs=failed(request))


@pytest.fixture(scope="session")
def filesystem(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileSystem]:
    """Every file of the image, read without running anything of it."""
    yield from _filesystem(image, tmp_path_factory.mktemp("filesystem"))


@pytest.fixture(scope="session")
def torch_filesystem(torch_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileSystem]:
    yield from _filesystem(torch_image, tmp_path_factory.mktemp("filesystem"))


def _filesystem(image: Image, folder: Path) -> Iterator[FileSystem]:
    exported = FileSystem.export(image, folder / "image.tar")
    yield exported
    exported.close()
