"""Mode external: replicas before a Qdrant elsewhere. The tests follow each other on one release."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from chart_cluster import Release, eventually, get, kubectl
from elsewhere import Client, start_qdrant

TEXTS = ["Anna drinks green tea every morning", "Deployments happen on Tuesdays"]


@pytest.fixture(scope="module")
def release(namespace: str, new_release: Callable[..., Release]) -> Iterator[Release]:
    start_qdrant(namespace)
    external = {"external.url": "http://qdrant:6333", "external.existingSecret": "qdrant"}
    release = new_release("memory", mode="external", replicaCount=2, **external)
    release.install()
    release.store(*TEXTS)
    yield release
    release.uninstall()


def pods(release: Release) -> dict[str, str]:
    """Pods of the service that aren't ending, with the node they run on."""
    selector = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component=server"
    found = json.loads(
        kubectl("--namespace", release.namespace, "get", "pods", "--selector", selector, "--output", "json")
    )
    alive = [one for one in found["items"] if "deletionTimestamp" not in one["metadata"]]
    return {one["metadata"]["name"]: one["spec"].get("nodeName", "") for one in alive}


def test_it_passes_its_own_test(release: Release) -> None:
    assert release.test().rstrip().endswith("ok")
    assert len(pods(release)) == 2


def test_replicas_start_without_a_warning(release: Release) -> None:
    for pod in pods(release):
        for line in release.logs("memory", pod).splitlines():
            assert json.loads(line)["level"] == "info", line


def test_no_request_fails_while_it_is_updated(release: Release) -> None:
    client = Client(release)
    client.start()
    before = set(pods(release))
    release.upgrade(settings={"MCP_TIMEZONE": "Europe/Berlin"})
    assert not before & set(pods(release))
    figures = client.stop()
    assert figures["asked"] > 20
    assert figures["failed"] == 0
    assert all(release.has(text) for text in TEXTS)


def test_no_request_fails_while_it_is_rolled_back(release: Release) -> None:
    client = Client(release)
    client.start()
    release.rollback(1)
    assert client.stop()["failed"] == 0


def test_a_deleted_pod_is_replaced_and_nothing_is_lost(release: Release) -> None:
    gone = next(iter(pods(release)))
    kubectl("--namespace", release.namespace, "delete", "pod", gone, "--wait", "--timeout=120s")
    release.wait_ready()
    assert gone not in pods(release)
    assert all(release.has(text) for text in TEXTS)


def test_a_drain_honours_the_budget(release: Release) -> None:
    """One pod goes; with no other node to go to the second one stays, because the budget says so."""
    budget = get("pdb", release.full, release.namespace)
    assert budget["spec"]["maxUnavailable"] == 1
    eventually(lambda: _allows(release, 1), seconds=30, what="the budget allows one")
    node = next(iter(pods(release).values()))
    client = Client(release)
    client.start()
    selector = f"--pod-selector=app.kubernetes.io/instance={release.name},app.kubernetes.io/component=server"
    try:
        drain = ("drain", node, selector, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=25s")
        kubectl(*drain, check=False)
        staying = [pod for pod, where in pods(release).items() if where == node]
        assert len(staying) == 1
        assert get("pod", staying[0], release.namespace)["status"]["phase"] == "Running"
        _allows(release, 0)
    finally:
        kubectl("uncordon", node)
    release.wait_ready()
    assert client.stop()["failed"] == 0


def _allows(release: Release, disruptions: int) -> None:
    assert get("pdb", release.full, release.namespace)["status"]["disruptionsAllowed"] == disruptions


def test_the_service_outlives_a_qdrant_that_goes_away(release: Release) -> None:
    before = set(pods(release))
    kubectl("--namespace", release.namespace, "delete", "pod", "--selector", "app=qdrant", "--wait", "--timeout=120s")
    kubectl("--namespace", release.namespace, "rollout", "status", "deployment/qdrant", "--timeout=180s")
    # That Qdrant had no volume: its memories are gone, which the service has to say, not to hide; it must not restart.
    assert set(pods(release)) == before
    for pod in before:
        status = get("pod", pod, release.namespace)["status"]["containerStatuses"][0]
        assert status["restartCount"] == 0
