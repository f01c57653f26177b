"""A Qdrant that isn't the chart's, and a client inside the cluster that never stops asking."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from chart_cluster import LOCKED, QDRANT_IMAGE, RESTRICTED, Release, apply, kubectl, pod_manifest, start_pod

KEY = "a-key-of-the-qdrant-elsewhere"


def start_qdrant(namespace: str, name: str = "qdrant") -> None:
    """One node with a key, as a Service and a Secret: what mode external is told about."""
    labels = {"app": name}
    container = {
        "name": "qdrant",
        "image": QDRANT_IMAGE,
        "command": ["./qdrant"],
        "workingDir": "/qdrant",
        "env": [
            {"name": "QDRANT__SERVICE__API_KEY", "value": KEY},
            {"name": "QDRANT__TELEMETRY_DISABLED", "value": "true"},
        ],
        "securityContext": LOCKED,
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 6333}, "periodSeconds": 2},
    }
    apply(
        namespace,
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"api-key": KEY}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 6333}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"securityContext": RESTRICTED, "containers": [container]},
                },
            },
        },
    )
    kubectl("--namespace", namespace, "rollout", "status", f"deployment/{name}", "--timeout=180s")


CLIENT = """
import json, os, sys, time, urllib.request
headers = {"Authorization": "Bearer " + os.environ["KEY"], "Content-Type": "application/json"}
url = os.environ["URL"] + "/api/search"
asked = failed = 0
print("asking", flush=True)
while not os.path.exists("/tmp/stop"):
    asked += 1
    request = urllib.request.Request(url, json.dumps({"query": "tea", "n_results": 1}).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
    except OSError as error:
        failed += 1
        print(time.strftime("%H:%M:%S"), error, flush=True)
    time.sleep(0.05)
print(json.dumps({"asked": asked, "failed": failed}), flush=True)
"""


@dataclass
class Client:
    """Searches some fifteen times a second through the Service, from a pod of its own, until it is stopped."""

    release: Release
    name: str = "client"

    def start(self) -> None:
        manifest: dict[str, Any] = pod_manifest(self.name, ["/usr/bin/python3", "-c", CLIENT])
        manifest["spec"]["containers"][0]["env"] = [
            {"name": "URL", "value": f"http://{self.release.full}:8000"},
            {"name": "KEY", "value": self.release.keys()["api-key"]},
        ]
        # Drained nodes take no new pods; this one stays where it is.
        manifest["spec"]["tolerations"] = [{"operator": "Exists"}]
        start_pod(self.release.namespace, manifest)

    def stop(self) -> dict[str, int]:
        """How many requests were asked and failed."""
        asked = ("--namespace", self.release.namespace)
        kubectl(*asked, "exec", self.name, "--", "touch", "/tmp/stop")
        done = "--for=jsonpath={.status.phase}=Succeeded"
        kubectl(*asked, "wait", f"pod/{self.name}", done, "--timeout=60s")
        logs = kubectl(*asked, "logs", self.name)
        kubectl(*asked, "delete", "pod", self.name)
        print(logs)
        found: dict[str, int] = json.loads(logs.splitlines()[-1])
        return found
