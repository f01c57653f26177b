"""A real API server takes everything that the chart renders, into a namespace that enforces Pod Security `restricted`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from chart_cluster import CHART, TOOLS, apply, kubectl, run

FIXTURES = CHART / "tests" / "fixtures"
CUSTOM = {
    "servicemonitors.monitoring.coreos.com": ("ServiceMonitor", "v1"),
    "podmonitors.monitoring.coreos.com": ("PodMonitor", "v1"),
    "prometheusrules.monitoring.coreos.com": ("PrometheusRule", "v1"),
    "httproutes.gateway.networking.k8s.io": ("HTTPRoute", "v1"),
}
MODES = {
    "sidecar": [],
    "embedded": ["--set", "mode=embedded"],
    "external": ["--set", "mode=external,external.url=http://qdrant:6333,replicaCount=2,autoscaling.enabled=true"],
    "podmonitor": ["--set", "metrics.podMonitor.enabled=true,metrics.renderMode=failIfMissing"],
    "migration": ["--set", "migration.enabled=true,migration.source.url=http://files/db,backup.enabled=true"],
    "everything": ["--values", str(FIXTURES / "everything.yaml"), "--set", "priorityClassName=,runtimeClassName="],
}


@pytest.fixture(scope="module")
def known(namespace: str) -> Iterator[str]:
    """The namespace, on a cluster that knows the kinds of the Prometheus operator and of the Gateway API, for now."""
    made = [name for name in CUSTOM if not kubectl("get", "crd", name, "--ignore-not-found", "--output", "name")]
    # A pod is only judged where its account is there.
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "memory-mcp-memory"}}
    apply(namespace, account, *(stub(name) for name in made))
    for name in made:
        kubectl("wait", f"crd/{name}", "--for=condition=Established", "--timeout=60s")
    yield namespace
    for name in made:
        kubectl("delete", "crd", name)


def stub(name: str) -> dict[str, object]:
    plural, _, group = name.partition(".")
    kind, version = CUSTOM[name]
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    metadata: dict[str, object] = {"name": name}
    if group.endswith("k8s.io"):
        metadata["annotations"] = {"api-approved.kubernetes.io": "unapproved, a stub for tests"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_the_api_server_takes_it_without_a_warning(known: str, mode: str, helm: str) -> None:
    names = ["--values", str(FIXTURES / "keys.yaml"), "--api-versions", "monitoring.coreos.com/v1"]
    text = run(str(TOOLS / helm), "template", "memory", str(CHART), "--namespace", known, *names, *MODES[mode])
    done = subprocess.run(
        ["kubectl", "--namespace", known, "apply", "--dry-run=server", "--validate=strict", "--filename", "-"],
        input=text.replace("image: busybox:1", f"image: busybox:1\n          securityContext: {LOCKED_YAML}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "server dry run" in done.stdout
    warnings = [line for line in done.stderr.splitlines() if "Warning" in line and "exceeds the supported" not in line]
    assert warnings == []


LOCKED_YAML = "{allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"
