"""docker/publish.py against a registry of its own: what stands there in the end holds every platform and its records."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine import NATIVE, PLATFORMS, docker, required, why_not

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
BAKE = ("buildx", "bake", "--file", "docker/docker-bake.hcl", "--progress", "quiet")
VERSION = "0.0.1"


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    """The address of an empty registry, which also holds the stand-in that writes bills of materials."""
    required("TEST_IMAGE")
    for target in ("registry", "bill-of-materials"):
        docker(*BAKE, "--load", target, timeout=600)
    name = f"memory-test-registry-{uuid.uuid4().hex[:8]}"
    docker("run", "--detach", "--name", name, "--publish", "127.0.0.1::5000", "memory-test-registry:local")
    try:
        address = docker("port", name, "5000/tcp").splitlines()[0]
        _wait_until_it_answers(address)
        docker("tag", "memory-test-bill-of-materials:local", f"{address}/bill-of-materials")
        docker("push", "--quiet", f"{address}/bill-of-materials")
        docker("rmi", f"{address}/bill-of-materials")
        yield address
    finally:
        docker("rm", "--force", "--volumes", name, check=False)


@pytest.fixture(scope="module")
def pushed(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The proxy (the smallest of the images), pushed for both platforms: a folder of digests."""
    digests = tmp_path_factory.mktemp("digests")
    for platform in PLATFORMS:
        if (reason := why_not("debian:trixie-slim", platform)) is not None:
            pytest.skip(reason)
        _publish("push", "proxy", registry, "--platform", platform, "--digests", str(digests))
    yield digests
    for image in docker("images", "--quiet", f"{registry}/*").split():
        docker("rmi", "--force", image, check=False)


def test_platforms_pushed_by_digest_are_one_tag_that_runs_on_each(registry: str, pushed: Path) -> None:
    printed = _publish("merge", "proxy", registry, "--version", VERSION, "--latest", "--digests", str(pushed))
    assert printed.split() == [f"{registry}/memory-proxy:{tag}" for tag in (VERSION, "0.0", "0", "latest")]
    stands = _publish("inspect", "proxy", registry, "--version", VERSION)
    assert [line.split()[1] for line in stands.splitlines()] == list(PLATFORMS)
    for platform in PLATFORMS:
        assert "started" in _publish("start", "proxy", registry, "--version", VERSION, "--platform", platform)


def test_platform_that_was_not_pushed_is_named_and_nothing_is_merged(
    registry: str, pushed: Path, tmp_path: Path
) -> None:
    (tmp_path / "proxy-linux-amd64").write_text((pushed / "proxy-linux-amd64").read_text())
    refused = _publish("merge", "proxy", registry, "--version", "9.9.9", "--digests", str(tmp_path), fails=True)
    assert "proxy was not pushed for linux/arm64" in refused
    assert httpx.get(f"http://{registry}/v2/memory-proxy/manifests/9.9.9").status_code == 404


def test_image_that_lost_its_records_on_the_way_is_refused(registry: str, pushed: Path) -> None:
    _publish("merge", "proxy", registry, "--version", VERSION, "--digests", str(pushed))
    images = [line.split()[2] for line in _publish("inspect", "proxy", registry, "--version", VERSION).splitlines()]
    bare = f"{registry}/memory-proxy:0.0.2"
    sources = [f"{registry}/memory-proxy@{digest}" for digest in images]
    docker("buildx", "imagetools", "create", "--tag", bare, *sources)
    assert "has lost its record of its build" in _publish(
        "inspect", "proxy", registry, "--version", "0.0.2", fails=True
    )


def test_image_of_this_machine_s_platform_runs_as_it_was_published(registry: str) -> None:
    """The service itself, for one platform: `start` wants it healthy, a memory stored, and a clean end."""
    tag = f"{registry}/memory:{VERSION}"
    docker("tag", required("TEST_IMAGE"), tag)
    docker("push", "--quiet", tag, timeout=600)
    docker("rmi", tag)
    assert "was healthy" in _publish("start", "onnx", registry, "--version", VERSION, "--platform", NATIVE)
    docker("rmi", "--force", tag, check=False)


def _publish(step: str, name: str, registry: str, *options: str, fails: bool = False) -> str:
    """What docker/publish.py prints; its complaint where it has to fail."""
    done = subprocess.run(
        [sys.executable, "docker/publish.py", step, "--name", name, "--repository", f"{registry}/memory", *options],
        cwd=ROOT,
        env={**os.environ, "SBOM_GENERATOR": f"{registry}/bill-of-materials"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


def _wait_until_it_answers(address: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            httpx.get(f"http://{address}/v2/").raise_for_status()
        except httpx.HTTPError:
            assert time.monotonic() < deadline, "the registry doesn't answer"
            time.sleep(0.1)
        else:
            return
