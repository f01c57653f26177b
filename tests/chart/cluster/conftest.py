"""Namespaces that enforce Pod Security `restricted`, and what happened in them where a test failed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chart_cluster import Release, image, image_values, kubectl, prerequisites, run

HERE = Path(__file__).parent
SMALL: dict[str, Any] = {
    "resources.requests": {"cpu": "10m", "memory": "128Mi"},
    "embedded.resources.requests": {"cpu": "10m", "memory": "128Mi"},
    "qdrant.resources.requests": {"cpu": "10m", "memory": "64Mi"},
    "persistence.size": "1Gi",
}
"""Several releases at a time on a small node."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = prerequisites()
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(900))
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed and "namespace" in getattr(item, "funcargs", {}):
        report.sections.append(("what happened on the cluster", story(item.funcargs["namespace"])))
    return report


def story(namespace: str) -> str:
    asked = ("--namespace", namespace)
    parts = [
        kubectl(*asked, "get", "all,pvc", "--output", "wide", check=False),
        kubectl(*asked, "get", "events", "--sort-by=.lastTimestamp", check=False)[-6000:],
    ]
    for pod in kubectl(*asked, "get", "pods", "--output", "name", check=False).split():
        for more in ([], ["--previous"]):
            logs = kubectl(*asked, "logs", pod, "--all-containers", "--prefix", "--tail=60", *more, check=False)
            parts.append(f"{pod} {' '.join(more)}\n{logs}")
    return "\n".join(parts)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace of this module's own, gone after it."""
    name = f"chart-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, *(f"pod-security.kubernetes.io/{on}=restricted" for on in ("enforce", "warn")))
    yield name
    kubectl("delete", "namespace", name, "--wait", "--timeout=240s", check=False)
    recycle()


def recycle() -> None:
    if program := os.environ.get("CLUSTER_TOOL"):
        run(program, "recycle", check=False)


@pytest.fixture(scope="module")
def new_release(namespace: str) -> Any:
    """`new_release("memory", mode="embedded")`: a release that isn't installed yet."""

    def make(name: str, **values: Any) -> Release:
        return Release(name, namespace, {**image_values(image()), **SMALL, **values})

    return make
