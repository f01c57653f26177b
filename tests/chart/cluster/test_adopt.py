"""A volume that Qdrant wrote as root: refused in words and left as it is, then taken over by the Job of docs/kubernetes.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from chart_cluster import (
    QDRANT_IMAGE,
    ROOT,
    Release,
    apply,
    claim_manifest,
    delete_pod,
    eventually,
    image,
    kubectl,
    start_pod,
)


def job_of_the_page() -> dict[str, Any]:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    text = page[page.index("## A volume that root wrote") :].partition("```yaml\n")[2].partition("```")[0]
    job: dict[str, Any] = yaml.safe_load(text)
    job["spec"]["template"]["spec"]["containers"][0]["image"] = image()
    return job


def test_a_volume_of_root_is_refused_in_words_and_adopted_by_the_job_of_the_page(
    namespace: str, new_release: Callable[..., Release]
) -> None:
    release = new_release("memory")
    claim = f"storage-{release.pod}"
    asked = ("--namespace", namespace)
    for level in ("enforce", "warn"):  # root isn't allowed otherwise, which is the point of it
        kubectl("label", "namespace", namespace, "--overwrite", f"pod-security.kubernetes.io/{level}=privileged")
    apply(namespace, claim_manifest(claim))
    start_pod(namespace, qdrant_as_root(claim))
    delete_pod(namespace, "old")

    release.install(wait=False)

    def refused() -> None:
        assert "holds data outside the folder `private`" in release.logs("prepare")

    eventually(refused, seconds=90, what="the volume is refused")
    assert "docs/kubernetes.md" in release.logs("prepare")

    kubectl(*asked, "scale", release.workload, "--replicas=0")
    kubectl(*asked, "wait", f"pod/{release.pod}", "--for=delete", "--timeout=120s")
    apply(namespace, job_of_the_page())
    kubectl(*asked, "wait", "job/adopt", "--for=condition=Complete", "--timeout=120s")
    kubectl(*asked, "scale", release.workload, "--replicas=1")
    release.wait_ready()
    found = kubectl(*asked, "exec", release.pod, "--container", "qdrant", "--", "ls", "/qdrant/storage/private/data")
    assert "raft_state.json" in found.split()
    assert release.test().rstrip().endswith("ok")
    release.uninstall()


def qdrant_as_root(claim: str) -> dict[str, Any]:
    container = {
        "name": "qdrant",
        "image": QDRANT_IMAGE,
        "command": ["./qdrant"],
        "workingDir": "/qdrant",
        "securityContext": {"runAsUser": 0},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 6333}, "periodSeconds": 1},
        "volumeMounts": [{"name": "volume", "mountPath": "/qdrant/storage"}],
    }
    volume = {"name": "volume", "persistentVolumeClaim": {"claimName": claim}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "old"},
        "spec": {"terminationGracePeriodSeconds": 5, "containers": [container], "volumes": [volume]},
    }
