"""The ARM64 image, by its digest, on whatever this cluster's node is (under emulation where that is an AMD64 one)."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from chart_cluster import Release, image_values, kubectl

TEXTS = ["Anna drinks green tea every morning", "Deployments happen on Tuesdays"]


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("mode", ["embedded", "sidecar"])
def test_the_arm64_image_is_installed_and_tested(mode: str, new_release: Callable[..., Release]) -> None:
    reference = os.environ.get("CHART_ARM64_IMAGE") or pytest.skip(
        "CHART_ARM64_IMAGE=repository@sha256:... names an ARM64 image that the node has"
    )
    release = new_release("arm", mode=mode, **image_values(reference))
    if os.environ.get("CHART_ARM64_EMULATED"):
        # QEMU's default processor has SVE, which it emulates so slowly that the model takes half a minute for a text.
        release.values["extraEnv"] = [{"name": "QEMU_CPU", "value": "cortex-a76"}]
        release.values["probes.liveness"] = None
        release.values["probes.readiness"] = {"httpGet": {"path": "/readyz", "port": "http"}, "timeoutSeconds": 30}
    release.install()
    machine = kubectl(
        *("--namespace", release.namespace, "exec", release.workload, "--container", "memory", "--"),
        *("/usr/bin/python3", "-c", "import platform; print(platform.machine())"),
    )
    assert machine.strip() == "aarch64"
    assert release.test().rstrip().endswith("ok")
    release.store(*TEXTS)
    assert all(release.has(text) for text in TEXTS)
    kubectl("--namespace", release.namespace, "delete", "pod", release.pod, "--wait", "--timeout=180s")
    release.wait_ready(600)
    assert all(release.has(text) for text in TEXTS)
    release.uninstall()
