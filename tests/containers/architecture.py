"""Which images stand for an architecture on this machine, or why none can, in words."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from engine import NATIVE, NO_ENGINE, Image, engine_answers, why_not
from qdrant_server import UNPRIVILEGED_IMAGE

SERVICE_IMAGES = ("mcp-memory:dev", "mcp-memory:local")
PROXY_IMAGES = ("mcp-memory-proxy:dev", "mcp-memory-proxy:local")
"""Looked for in this order where TEST_IMAGE and TEST_PROXY_IMAGE name none."""
BUILD = "`make image` builds it for this machine, `make images` for both architectures"
PULL = f"docker pull {UNPRIVILEGED_IMAGE}"


@dataclass(frozen=True)
class Architecture:
    """A platform that the service is tested on."""

    platform: str
    service: Image

    def __str__(self) -> str:
        return f"{self.service.name}{'' if self.service.native else ', emulated'}"


def architecture(platform: str) -> Architecture:
    """What runs here for this platform; skips with what to do where nothing does."""
    if not engine_answers():
        pytest.skip(NO_ENGINE)
    return Architecture(platform, _or_skip(_first(_named("TEST_IMAGE", SERVICE_IMAGES), platform, BUILD)))


def qdrant(platform: str) -> Image:
    """Qdrant for this platform, or the native one where no image of it is here for the platform; skips without any."""
    found = _first((UNPRIVILEGED_IMAGE,), platform, PULL)
    return found if isinstance(found, Image) else _or_skip(_first((UNPRIVILEGED_IMAGE,), NATIVE, PULL))


def native_service() -> Image:
    """The service's image of this machine: for what would take hours under emulation."""
    return _or_skip(_first(_named("TEST_IMAGE", SERVICE_IMAGES), NATIVE, BUILD))


def proxy(platform: str) -> Image:
    """The proxy for this platform, or the native one: it is HAProxy, not ours."""
    images = _named("TEST_PROXY_IMAGE", PROXY_IMAGES)
    found = _first(images, platform, BUILD)
    return found if isinstance(found, Image) else _or_skip(_first(images, NATIVE, BUILD))


def _named(variable: str, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    named = os.environ.get(variable)
    return (named,) if named else otherwise


def _first(names: tuple[str, ...], platform: str, get: str) -> Image | str:
    """The first that runs on this platform; where none does, why the last one doesn't."""
    reason = ""
    for name in names:
        refused = why_not(name, platform, get=get)
        if refused is None:
            return Image(name, platform)
        reason = refused
    return reason


def _or_skip(found: Image | str) -> Image:
    if isinstance(found, str):
        pytest.skip(found)
    return found
