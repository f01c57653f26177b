"""A container engine for tests: images by platform, containers that are always removed, and reasons to skip in words.

Nothing here runs in an ordinary `make test`: `make test-images` builds the images and names them in TEST_IMAGE.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import IO, Any

import pytest

NOT_ASKED = (
    "tests of images run with `make test-images`, which builds them first (or name one that is there: TEST_IMAGE=...)"
)
NO_ENGINE = "needs a container engine: start Docker, then run `make test-images`"
PLATFORMS = ("linux/amd64", "linux/arm64")
NATIVE = {"x86_64": "linux/amd64", "aarch64": "linux/arm64", "arm64": "linux/arm64"}[platform.machine()]
PATIENT_CHECKS = ("--health-start-interval", "3s", "--health-timeout", "30s")
"""An emulated check takes seconds itself: twice a second, they would leave the service no time to start."""
EMULATED_CPU = "cortex-a76"
"""QEMU's default CPU has SVE, which is emulated so slowly that ONNX Runtime takes 27 s for a first text instead of 1.2 s."""


def docker(*arguments: str, check: bool = True, timeout: float = 300, stdin: str | None = None) -> str:
    """What the client prints on stdout. With `check`, a failure is an AssertionError with its stderr."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=timeout, check=False, input=stdin
    )
    if check:
        assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout


@cache
def engine_answers() -> bool:
    return (
        shutil.which("docker") is not None
        and subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=60).returncode == 0
    )


@cache
def why_not(image: str, on: str, *, get: str = "`make images` builds it") -> str | None:
    """Why this image can't be run on this platform, in words; None where it can. `get` says how to have the image."""
    created = subprocess.run(
        ["docker", "create", "--pull", "never", "--platform", on, image],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if created.returncode != 0:
        return f"the image {image} is not there for {on}: {get} ({created.stderr.strip()[-120:]})"
    docker("rm", "--volumes", created.stdout.strip())
    started = subprocess.run(
        ["docker", "run", "--rm", "--pull", "never", "--platform", on, "--entrypoint", "/usr/bin/true", image],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if started.returncode != 0:
        return (
            f"this machine can't run programs for {on}: install QEMU user emulation ({started.stderr.strip()[-120:]})"
        )
    return None


def required(variable: str) -> str:
    """The image that a variable names, or a skip that says how to have one."""
    image = os.environ.get(variable)
    if not image:
        pytest.skip(NOT_ASKED)
    if not engine_answers():
        pytest.skip(NO_ENGINE)
    return image


@dataclass(frozen=True)
class Image:
    """One architecture of an image."""

    name: str
    platform: str

    @property
    def native(self) -> bool:
        return self.platform == NATIVE

    @property
    def start_seconds(self) -> float:
        """How long a start may take here."""
        return 60.0 if self.native else 180.0

    @property
    def emulated_cpu(self) -> dict[str, str]:
        """The variable that QEMU reads; none where nothing is emulated."""
        return {} if self.native else {"QEMU_CPU": EMULATED_CPU}

    @property
    def emulation(self) -> list[str]:
        return [part for name, value in self.emulated_cpu.items() for part in ("--env", f"{name}={value}")]

    def config(self) -> dict[str, Any]:
        """The image's own configuration, of this platform."""
        created = docker("create", "--pull", "never", "--platform", self.platform, self.name).strip()
        try:
            return dict(json.loads(docker("inspect", created))[0]["Config"])
        finally:
            docker("rm", "--volumes", created)

    def layers(self) -> Iterator[list[str]]:
        """Paths of the files and links of each layer, from the lowest up."""
        for manifest, archive in self._manifests():
            for layer in manifest["layers"]:
                with tarfile.open(fileobj=_blob(archive, layer["digest"]), mode="r:*") as entries:
                    yield [entry.name for entry in entries if not entry.isdir()]

    def history(self) -> list[str]:
        """The steps that made it, as everybody can read them."""
        for manifest, archive in self._manifests():
            config = json.load(_blob(archive, manifest["config"]["digest"]))
            return [step.get("created_by", "") for step in config["history"]]
        raise AssertionError(f"{self.name} has no manifest for {self.platform}")

    def _manifests(self) -> Iterator[tuple[dict[str, Any], tarfile.TarFile]]:
        """The image's own manifest in what `docker save` gives; yields once."""
        with tempfile.TemporaryFile() as file:
            subprocess.run(["docker", "save", self.name], stdout=file, check=True)
            file.seek(0)
            with tarfile.open(fileobj=file) as archive:
                entries = json.load(_file(archive, "index.json"))["manifests"]
                while entries:
                    document = json.load(_blob(archive, entries.pop(0)["digest"]))
                    if "manifests" in document:
                        entries += [
                            entry
                            for entry in document["manifests"]
                            if "{os}/{architecture}".format(**entry["platform"]) == self.platform
                        ]
                    else:
                        config = json.load(_blob(archive, document["config"]["digest"]))
                        if f"{config['os']}/{config['architecture']}" == self.platform:
                            yield document, archive


def _blob(archive: tarfile.TarFile, digest: str) -> IO[bytes]:
    return _file(archive, f"blobs/{digest.replace(':', '/')}")


def _file(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    assert file is not None, f"{name} is no file"
    return file


@dataclass
class Container:
    """A container that a test started."""

    image: Image
    name: str

    @property
    def state(self) -> dict[str, Any]:
        return dict(json.loads(docker("inspect", self.name))[0]["State"])

    def logs(self) -> str:
        done = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def execute(self, *command: str, user: str | None = None, check: bool = True) -> str:
        return docker("exec", *(["--user", user] if user else []), self.name, *command, check=check)

    def url(self) -> str:
        address = docker("port", self.name, "8000/tcp").splitlines()[0]
        return f"http://{address}"

    def wait_healthy(self, seconds: float | None = None) -> float:
        """Wait for the image's own health check; seconds since the container's start."""
        deadline = time.monotonic() + (seconds or self.image.start_seconds)
        began = time.monotonic()
        while time.monotonic() < deadline:
            state = self.state
            assert state["Running"], f"ended with {state['ExitCode']}:\n{self.logs()}"
            if state["Health"]["Status"] == "healthy":
                return time.monotonic() - began
            time.sleep(0.1)
        pytest.fail(f"not healthy in time: {self.state['Health']}\n{self.logs()}")

    def stop(self) -> None:
        """End it as `docker stop` does, with time to finish."""
        docker("stop", "--time", "60", self.name)

    def wait_ended(self, seconds: float | None = None) -> int:
        """Wait until it ends; its exit code."""
        return int(docker("wait", self.name, timeout=seconds or self.image.start_seconds).strip())


@dataclass
class Engine:
    """What a test starts here is removed at its end, volumes too."""

    image: Image
    containers: list[Container] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    def volume(self) -> str:
        name = f"memory-test-{uuid.uuid4().hex[:12]}"
        docker("volume", "create", name)
        self.volumes.append(name)
        return name

    def run(
        self, *command: str, options: Sequence[str] = (), entrypoint: str | None = None, cpu: str | None = None
    ) -> Container:
        """Start in the background."""
        container = Container(self.image, f"memory-test-{uuid.uuid4().hex[:12]}")
        self.containers.append(container)
        docker("run", "--detach", "--name", container.name, *self.arguments(options, entrypoint, cpu), *command)
        return container

    def output(
        self, *command: str, options: Sequence[str] = (), entrypoint: str | None = None, check: bool = True
    ) -> str:
        """Run to the end; what it printed on stdout."""
        return docker("run", "--rm", *self.arguments(options, entrypoint, None), *command, check=check)

    def arguments(self, options: Sequence[str], entrypoint: str | None, cpu: str | None) -> list[str]:
        emulation = ["--env", f"QEMU_CPU={cpu}"] if cpu else self.image.emulation
        checks = [] if self.image.native else PATIENT_CHECKS
        return [
            *("--pull", "never", "--platform", self.image.platform, *emulation, *checks, *options),
            *(["--entrypoint", entrypoint] if entrypoint else []),
            self.image.name,
        ]

    def close(self, *, show_logs: bool) -> None:
        for container in self.containers:
            if show_logs:
                print(f"--- {container.name}\n{container.logs()}")
            docker("rm", "--force", "--volumes", container.name, check=False)
        for name in self.volumes:
            docker("volume", "rm", "--force", name, check=False)
