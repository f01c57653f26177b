"""An installation made with compose, with a name and a port of its own; removed with its volumes at the end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., "Project"]
"""`start(*files, **settings)`: an installation of the image under test, not started yet."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Project:
    """`docker compose` on some of this repository's files, as docs/install.md gives the commands."""

    files: tuple[str, ...]
    image: str
    proxy_image: str = "mcp-memory-proxy:local"
    port: int = field(default_factory=free_port)
    name: str = field(default_factory=lambda: f"memory-test-{uuid.uuid4().hex[:8]}")
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, *arguments: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Without this process's own settings. With `check`, a failure is an AssertionError with what was printed."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("MCP_", "QDRANT_", "COMPOSE_"))
        }
        done = subprocess.run(
            ["docker", "compose", "--project-directory", ".", *self._files(), "--project-name", self.name, *arguments],
            cwd=ROOT,
            env={
                **kept,
                "MCP_HTTP_PORT": str(self.port),
                "MEMORY_IMAGE": self.image,
                "PROXY_IMAGE": self.proxy_image,
                **self.settings,
            },
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"compose {' '.join(arguments)}\n{done.stdout}{done.stderr}\n{self.logs()}"
        return done

    def _files(self) -> list[str]:
        return [part for file in self.files for part in ("--file", file)]

    def up(self, *services: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Start, with the images that are there; returns when all are healthy."""
        return self.run("up", "--no-build", "--wait", *services, check=check, timeout=timeout)

    def down(self) -> None:
        """End and remove the containers; the volumes stay."""
        self.run("down")

    def remove(self) -> None:
        self.run("--profile", "*", "down", "--volumes", "--remove-orphans", check=False)

    def logs(self, *services: str) -> str:
        done = self.run("logs", "--no-color", *services, check=False)
        return done.stdout + done.stderr

    def execute(self, service: str, *command: str) -> str:
        return self.run("exec", "--no-TTY", service, *command).stdout

    def in_volume(self, volume: str, script: str, *, image: str | None = None) -> str:
        """Run a shell script as root on a volume, at /v: what an administrator's mistake does."""
        command = [
            "docker",
            "run",
            "--rm",
            "--user",
            "0",
            "--volume",
            f"{self.name}_{volume}:/v",
            "--entrypoint",
            "/bin/sh",
        ]
        done = subprocess.run(
            [*command, image or self.image, "-c", script], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def states(self) -> dict[str, dict[str, Any]]:
        """By service: State, Health, ExitCode."""
        lines = self.run("ps", "--all", "--format", "json").stdout.splitlines()
        return {str(entry["Service"]): entry for entry in map(json.loads, lines)}

    def config(self) -> dict[str, Any]:
        return dict(json.loads(self.run("--profile", "*", "config", "--format", "json").stdout))

    def key(self) -> str:
        return self.execute("memory", "memory", "key").strip()

    def client(self, key: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key or self.key()}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)
