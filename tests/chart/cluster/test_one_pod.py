"""The modes with a volume of their own, from install to uninstall. The tests of a mode follow each other on one release."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from chart_cluster import Release, eventually, get, helm, kubectl, tool

KEPT = ["Anna drinks green tea every morning", "Deployments happen on Tuesdays", "The lighthouse was built in 1871"]
SIGTERM_SECONDS = 20.0
KILL_ENGINE = """
import os, pathlib
lines = {int(path.parent.name): path.read_bytes() for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")}
found = [pid for pid, line in lines.items() if b"qdrant_embedded.engine" in line and pid != os.getpid()]
for pid in found:
    os.kill(pid, 9)
print("killed", len(found))
"""
"""The engine is a process of its own beside the service's, in the same container."""


@pytest.fixture(scope="module", params=["sidecar", "embedded"])
def release(request: pytest.FixtureRequest, new_release: Callable[..., Release]) -> Iterator[Release]:
    release = new_release(request.param, mode=request.param)
    release.install()
    release.store(*KEPT)
    yield release
    release.uninstall()


def holds_everything(release: Release) -> None:
    assert [text for text in KEPT if not release.has(text)] == []


def test_it_passes_its_own_test(release: Release) -> None:
    assert release.test().rstrip().endswith("ok")


def test_it_starts_without_a_warning(release: Release) -> None:
    for line in release.logs("memory").splitlines():
        assert json.loads(line)["level"] == "info", line
    if release.values["mode"] == "sidecar":
        bad = [line for line in release.logs("qdrant").splitlines() if " WARN " in line or " ERROR " in line]
        assert bad == []


def test_nothing_was_started_twice(release: Release) -> None:
    assert {name: one["restartCount"] for name, one in release.containers().items() if one["restartCount"]} == {}


def test_folders_are_open_to_their_owner_alone(release: Release) -> None:
    mode = kubectl(
        *("--namespace", release.namespace, "exec", release.pod, "--container", "memory", "--", "stat"),
        *("--format=%a %u:%g", "/data"),
    )
    assert mode.strip() == "700 1000:1000"
    if release.values["mode"] == "sidecar":
        private = kubectl(
            *("--namespace", release.namespace, "exec", release.pod, "--container", "qdrant", "--", "stat"),
            *("--format=%a %u:%g", "/qdrant/storage/private", "/qdrant/storage/private/memory"),
        )
        assert private.splitlines() == ["700 1000:1000"] * 2


def test_qdrant_is_open_to_this_pod_alone(release: Release) -> None:
    if release.values["mode"] == "embedded":
        assert "qdrant" not in release.containers()
        return
    address = get("pod", release.pod, release.namespace)["status"]["podIP"]
    probe = f"exec 3<>/dev/tcp/{address}/6333 && echo open || echo closed"
    said = kubectl(
        *("--namespace", release.namespace, "exec", release.pod, "--container", "qdrant", "--", "bash", "-c", probe),
    )
    assert said.strip() == "closed"


def test_an_upgrade_of_values_keeps_memories_and_keys(release: Release) -> None:
    keys, before = release.keys(), get("pod", release.pod, release.namespace)["metadata"]["uid"]
    release.upgrade(settings={"MCP_TIMEZONE": "Europe/Berlin"})
    assert get("pod", release.pod, release.namespace)["metadata"]["uid"] != before
    assert release.keys() == keys
    holds_everything(release)


def test_an_upgrade_of_the_image_keeps_memories(release: Release) -> None:
    reference = release.containers()["memory"]["imageID"]
    assert "@sha256:" in reference
    release.upgrade(**{"image.repository": reference.split("@")[0], "image.digest": reference.split("@")[1]})
    running = get("pod", release.pod, release.namespace)["spec"]["containers"][0]["image"]
    assert running == reference
    holds_everything(release)


def test_an_upgrade_that_changes_nothing_starts_nothing_anew(release: Release) -> None:
    before = get("pod", release.pod, release.namespace)["metadata"]["uid"]
    release.upgrade()
    assert get("pod", release.pod, release.namespace)["metadata"]["uid"] == before


def test_another_mode_is_refused_on_the_cluster_too(release: Release) -> None:
    other = "embedded" if release.values["mode"] == "sidecar" else "sidecar"
    with pytest.raises(AssertionError, match="would not find them"):
        helm("upgrade", release.name, "helm/mcp-memory", "--namespace", release.namespace, "--set", f"mode={other}")


def test_a_deleted_pod_comes_back_with_everything(release: Release) -> None:
    kubectl("--namespace", release.namespace, "delete", "pod", release.pod, "--wait", "--timeout=180s")
    release.wait_ready()
    holds_everything(release)


def test_a_pod_ends_soon_after_sigterm(release: Release) -> None:
    began = time.monotonic()
    kubectl("--namespace", release.namespace, "delete", "pod", release.pod, "--wait", "--timeout=180s")
    assert time.monotonic() - began < SIGTERM_SECONDS
    release.wait_ready()


def test_a_service_that_is_told_to_end_ends_with_zero_and_is_started_again(release: Release) -> None:
    before = release.restarts("memory")
    end = (
        "--namespace",
        release.namespace,
        "exec",
        release.pod,
        "--container",
        "memory",
        "--",
        "sh",
        "-c",
        "kill -TERM 1",
    )
    kubectl(*end)

    def again() -> None:
        assert release.restarts("memory") == before + 1
        assert release.containers()["memory"]["ready"]

    eventually(again, seconds=120, what="the service is started again")
    assert release.containers()["memory"]["lastState"]["terminated"]["exitCode"] == 0
    holds_everything(release)


def test_the_service_outlives_a_killed_engine(release: Release) -> None:
    service = release.restarts("memory")
    if release.values["mode"] == "sidecar":
        qdrant = release.restarts("qdrant")
        tool("kill", release.pod, "qdrant", release.namespace)

        def killed() -> None:
            assert release.restarts("qdrant") == qdrant + 1

        eventually(killed, seconds=60, what="Qdrant is started again")
    else:
        in_container = ("--namespace", release.namespace, "exec", release.pod, "--container", "memory", "--")
        assert kubectl(*in_container, "/usr/bin/python3", "-c", KILL_ENGINE).strip() == "killed 1"
    eventually(lambda: holds_everything(release), seconds=120, what="the memories are found again")
    release.store("Stored after the engine was killed")
    assert release.has("Stored after the engine was killed")
    release.wait_ready()
    assert release.restarts("memory") == service


def test_a_rollback_keeps_memories_and_keys(release: Release) -> None:
    keys = release.keys()
    release.rollback(1)
    assert release.keys() == keys
    running = get("pod", release.pod, release.namespace)["spec"]["containers"][0]
    assert "MCP_TIMEZONE" not in json.dumps(running)
    holds_everything(release)


def test_a_second_release_in_the_namespace_is_another_one(
    release: Release, new_release: Callable[..., Release]
) -> None:
    second = new_release(f"second-{release.name}", mode=release.values["mode"])
    second.install()
    assert second.count() == 0
    second.store("Only the second one knows this")
    assert not release.has("Only the second one knows this")
    assert second.keys() != release.keys()
    assert second.test().rstrip().endswith("ok")
    second.uninstall()
    holds_everything(release)


def test_uninstalling_keeps_the_claim_and_installing_finds_the_memories(release: Release) -> None:
    release.uninstall()
    claim = get("pvc", f"storage-{release.pod}", release.namespace)
    assert claim["status"]["phase"] == "Bound"
    release.install()
    holds_everything(release)
