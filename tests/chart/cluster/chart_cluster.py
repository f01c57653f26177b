"""A Kubernetes cluster for tests, and releases of the chart on it.

KUBECONFIG names the cluster, CHART_IMAGE the service's image as its node has it. CLUSTER_TOOL is a program that does what
kubectl can't: `kill POD CONTAINER NAMESPACE` (SIGKILL to a container's first process) and `recycle` (released volumes of a
cluster without a provisioner become free again).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

ROOT = Path(__file__).parents[3]
CHART = ROOT / "helm" / "mcp-memory"
TOOLS = ROOT / ".chart-tools" / "bin"
QDRANT_IMAGE = "docker.io/qdrant/qdrant:v1.19.0-unprivileged"
NOT_ASKED = (
    "tests on a cluster run with `make test-chart-cluster`, which needs KUBECONFIG and an image (docs/kubernetes.md)"
)
RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
LOCKED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
T = TypeVar("T")


def image() -> str:
    return os.environ.get("CHART_IMAGE") or pytest.skip(NOT_ASKED)


def image_values(reference: str) -> dict[str, Any]:
    """`repository:tag` or `repository@sha256:...` as values."""
    if "@" in reference:
        repository, _, digest = reference.partition("@")
        return {"image.repository": repository, "image.digest": digest}
    repository, _, tag = reference.rpartition(":")
    return {"image.repository": repository, "image.tag": tag, "image.digest": ""}


def run(*command: str, timeout: float = 600, check: bool = True, stdin: bytes | None = None) -> str:
    done = subprocess.run(command, capture_output=True, timeout=timeout, check=False, input=stdin)
    if check:
        said = (done.stdout + done.stderr).decode(errors="replace")
        assert done.returncode == 0, f"{' '.join(command)}\nended with {done.returncode}\n{said}"
    return done.stdout.decode(errors="replace")


def kubectl(*arguments: str, timeout: float = 600, check: bool = True, stdin: bytes | None = None) -> str:
    return run("kubectl", *arguments, timeout=timeout, check=check, stdin=stdin)


def helm(*arguments: str, timeout: float = 600) -> str:
    return run(str(TOOLS / "helm"), *arguments, timeout=timeout)


def get(kind: str, name: str, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("--namespace", namespace, "get", kind, name, "--output", "json"))
    return found


def apply(namespace: str, *manifests: Mapping[str, Any]) -> None:
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
    kubectl("--namespace", namespace, "apply", "--filename", "-", stdin=document.encode())


def tool(*arguments: str) -> None:
    """What CLUSTER_TOOL does, or a skip."""
    program = os.environ.get("CLUSTER_TOOL") or pytest.skip("CLUSTER_TOOL is not set: nothing can kill a container")
    run(program, *arguments)


def eventually(check: Callable[[], T], *, seconds: float, what: str) -> T:
    """What `check` returns once it doesn't fail; its last failure after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return check()
        except AssertionError as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {seconds:g} s") from error
        time.sleep(0.5)


@dataclass
class Release:
    """A release of the chart in a namespace; its values are kept over upgrades, as a file would."""

    name: str
    namespace: str
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def full(self) -> str:
        return f"{self.name}-mcp-memory"

    @property
    def workload(self) -> str:
        return ("deployment/" if self.values.get("mode") == "external" else "statefulset/") + self.full

    @property
    def pod(self) -> str:
        return f"{self.full}-0"

    def install(self, *, wait: bool = True) -> str:
        return self._apply("install", wait)

    def upgrade(self, *, wait: bool = True, **changes: Any) -> str:
        self.values |= changes
        return self._apply("upgrade", wait)

    def _apply(self, verb: str, wait: bool) -> str:
        waiting = ["--wait", "--timeout", "6m"] if wait else []
        return helm(verb, self.name, str(CHART), "--namespace", self.namespace, *waiting, *self.arguments())

    def arguments(self) -> list[str]:
        return [part for key, value in self.values.items() for part in ("--set-json", f"{key}={json.dumps(value)}")]

    def rollback(self, revision: int) -> None:
        helm("rollback", self.name, str(revision), "--namespace", self.namespace, "--wait", "--timeout", "6m")

    def uninstall(self) -> None:
        helm("uninstall", self.name, "--namespace", self.namespace, "--wait", "--timeout", "3m")

    def test(self) -> str:
        return helm("test", self.name, "--namespace", self.namespace, "--logs", "--timeout", "5m")

    def keys(self) -> dict[str, str]:
        data = get("secret", self.full, self.namespace)["data"]
        return {name: base64.b64decode(value).decode() for name, value in data.items()}

    def memory(self, *arguments: str, stdin: bytes | None = None, timeout: float = 60) -> str:
        """The `memory` command inside the service's container."""
        interactive = ["--stdin"] if stdin is not None else []
        return kubectl(
            *("--namespace", self.namespace, "exec", *interactive, self.workload, "--container", "memory", "--"),
            *("memory", *arguments),
            stdin=stdin,
            timeout=timeout,
        )

    def store(self, *texts: str) -> None:
        for text in texts:
            self.memory("store", text)

    def has(self, text: str) -> bool:
        found = json.loads(self.memory("search", "--mode", "exact", text, "--json"))
        return any(hit["memory"]["content"] == text for hit in found["results"])

    def count(self) -> int:
        return int(json.loads(self.memory("stats", "--json"))["storage"]["vectors_count"])

    def containers(self) -> dict[str, dict[str, Any]]:
        status = get("pod", self.pod, self.namespace)["status"]
        found = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
        return {one["name"]: one for one in found}

    def restarts(self, container: str) -> int:
        return int(self.containers()[container]["restartCount"])

    def wait_ready(self, seconds: int = 240) -> None:
        kubectl("--namespace", self.namespace, "rollout", "status", self.workload, f"--timeout={seconds}s")

    def logs(self, container: str, pod: str = "") -> str:
        return kubectl("--namespace", self.namespace, "logs", pod or self.pod, "--container", container)


def pod_manifest(name: str, command: Sequence[str], *, claim: str | None = None, reference: str = "") -> dict[str, Any]:
    """A pod that passes Pod Security restricted, with a claim at /claim."""
    container: dict[str, Any] = {
        "name": "main",
        "image": reference or image(),
        "command": list(command),
        "securityContext": LOCKED,
        "volumeMounts": [{"name": "claim", "mountPath": "/claim"}] if claim else [],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "securityContext": RESTRICTED,
            "containers": [container],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": claim}}] if claim else [],
        },
    }


def claim_manifest(name: str, size: str = "1Gi") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    }


def start_pod(namespace: str, manifest: Mapping[str, Any]) -> None:
    apply(namespace, manifest)
    name = manifest["metadata"]["name"]
    kubectl("--namespace", namespace, "wait", f"pod/{name}", "--for=condition=Ready", "--timeout=120s")


def delete_pod(namespace: str, name: str) -> None:
    kubectl("--namespace", namespace, "delete", "pod", name, "--wait", "--timeout=120s")


def prerequisites() -> str | None:
    """Why there can be no test on a cluster, or None."""
    if not os.environ.get("CHART_IMAGE") or not os.environ.get("KUBECONFIG"):
        return NOT_ASKED
    if shutil.which("kubectl") is None:
        return "kubectl is not installed"
    if not (TOOLS / "helm").exists():
        return "helm is not installed: make chart-tools"
    return None
