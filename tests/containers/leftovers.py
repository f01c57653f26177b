"""Whose a container, network or volume is, as a label; and the removal of what a test run that crashed has left.

Ryuk, testcontainers' own remover, is one more image that runs with the engine's socket. Here the next run removes what the
last one couldn't: the label names the process, and a process that is gone owns nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
from functools import cache

import docker
import psutil
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.models.volumes import Volume
from testcontainers.core.config import testcontainers_config

LABEL = "io.mcp-memory.test.owner"
IN_USE = {403, 409}
"""What the engine answers about a network with containers, and about a volume with them."""

testcontainers_config.ryuk_disabled = True


@cache
def labels() -> dict[str, str]:
    """The label of this process: host, pid and the time it began, because a pid comes again."""
    return {LABEL: f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.2f}"}


def remove_leftovers() -> list[str]:
    """Remove everything of processes of this machine that are gone; what was removed."""
    client = docker.from_env()
    try:
        filters = {"label": LABEL}
        containers = [found for found in client.containers.list(all=True, filters=filters) if _orphan(found.labels)]
        networks = [found for found in client.networks.list(filters=filters) if _orphan(found.attrs["Labels"])]
        volumes = [found for found in client.volumes.list(filters=filters) if _orphan(found.attrs["Labels"])]
        return [str(found.name) for found in (*containers, *networks, *volumes) if _removed(found)]
    finally:
        client.close()


def _orphan(labels: dict[str, str]) -> bool:
    """Whether its process is gone. What another machine's runs made at the same engine is left alone."""
    host, pid, began = labels[LABEL].split()
    if host != socket.gethostname():
        return False
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(began)) > 1
    except psutil.NoSuchProcess:
        return True


def _removed(found: Container | Network | Volume) -> bool:
    """False where another run was quicker, or something of somebody else still uses it."""
    with contextlib.suppress(NotFound):
        try:
            if isinstance(found, Container):
                found.remove(force=True, v=True)
            else:
                found.remove()
        except APIError as error:
            if error.status_code not in IN_USE:
                raise
            return False
        return True
    return False
