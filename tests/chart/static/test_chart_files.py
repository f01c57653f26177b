"""Generated files fit what they are generated from; both Helm versions render the same; what is rendered is Kubernetes'."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "helm" / "mcp-memory"
TOOLS = ROOT / ".chart-tools"
KEYS = ("--values", str(CHART / "tests" / "fixtures" / "keys.yaml"))
EVERYTHING = (*KEYS, "--values", str(CHART / "tests" / "fixtures" / "everything.yaml"), "--api-versions")
MODES: dict[str, tuple[str, ...]] = {
    "sidecar": KEYS,
    "embedded": (*KEYS, "--set", "mode=embedded"),
    "external": (*KEYS, "--set", "mode=external,external.url=http://qdrant:6333,replicaCount=2"),
    "backup": (*KEYS, "--set", "backup.enabled=true"),
    "migration": (*KEYS, "--set", "migration.enabled=true,migration.source.url=http://files/sqlite_vec.db"),
    "everything": (*EVERYTHING, "monitoring.coreos.com/v1"),
}
CUSTOM = ("HTTPRoute", "ServiceMonitor", "PodMonitor", "PrometheusRule")
"""Kinds that other projects define; the cluster's tests put stubs of them before a real API server."""


def run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if check:
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def rendered(helm: str, *arguments: str) -> str:
    return run(str(TOOLS / "bin" / helm), "template", "memory", str(CHART), "--namespace", "ns", *arguments)


def objects(text: str) -> list[dict[str, Any]]:
    found = [one for one in yaml.safe_load_all(text) if one]
    return sorted(found, key=lambda one: (one["kind"], one["metadata"]["name"]))


def test_the_schema_fits_the_values() -> None:
    run(sys.executable, "scripts/development/make_values_schema.py", str(CHART), "--check")


def test_the_readme_fits_the_values(tmp_path: Path) -> None:
    copy = tmp_path / CHART.name
    shutil.copytree(CHART, copy)
    docs = ("--sort-values-order", "file", "--log-level", "warning")
    run(str(TOOLS / "bin" / "helm-docs"), "--chart-search-root", str(copy), *docs)
    assert (copy / "README.md").read_text() == (CHART / "README.md").read_text(), "make chart-docs"


def test_the_dashboard_is_the_one_of_compose() -> None:
    ours, theirs = CHART / "files" / "dashboard.json", ROOT / "compose" / "monitoring" / "dashboard.json"
    assert json.loads(ours.read_text()) == json.loads(theirs.read_text())


def test_alerts_are_those_of_compose() -> None:
    ours = next(one for one in objects(rendered("helm", *MODES["everything"])) if one["kind"] == "PrometheusRule")
    theirs = yaml.safe_load((ROOT / "compose" / "monitoring" / "alerts.yml").read_text())
    names = [[rule["alert"] for rule in file["groups"][0]["rules"]] for file in (ours["spec"], theirs)]
    assert names[0] == names[1]


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_helm_finds_nothing_to_complain_of(helm: str) -> None:
    for arguments in MODES.values():
        asked = [part for part in arguments if part not in {"--api-versions", "monitoring.coreos.com/v1"}]
        run(str(TOOLS / "bin" / helm), "lint", "--strict", str(CHART), *asked)


@pytest.mark.parametrize("mode", MODES)
def test_both_versions_of_helm_render_the_same(mode: str) -> None:
    assert objects(rendered("helm", *MODES[mode])) == objects(rendered("helm3", *MODES[mode]))


@pytest.mark.parametrize("mode", MODES)
def test_what_is_rendered_is_what_kubernetes_knows(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "rendered.yaml"
    path.write_text(rendered("helm", *MODES[mode]))
    location = str(TOOLS / "schemas" / "{{ .ResourceKind }}{{ .KindSuffix }}.json")
    summary = run(
        *(str(TOOLS / "bin" / "kubeconform"), "-strict", "-summary", "-schema-location", location),
        *("-skip", ",".join(CUSTOM), str(path)),
    )
    assert "Invalid: 0, Errors: 0" in summary


@pytest.mark.parametrize("mode", MODES)
def test_every_container_passes_pod_security_restricted(mode: str) -> None:
    for one in objects(rendered("helm", *MODES[mode])):
        spec = pod_spec(one)
        if spec is None:
            continue
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            if container["image"].startswith("busybox"):  # a user's own
                continue
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert not container["image"].endswith(":latest")
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


def pod_spec(one: dict[str, Any]) -> dict[str, Any] | None:
    spec = one.get("spec", {})
    match one["kind"]:
        case "Pod":
            return dict(spec)
        case "CronJob":
            return dict(spec["jobTemplate"]["spec"]["template"]["spec"])
        case "StatefulSet" | "Deployment" | "Job":
            return dict(spec["template"]["spec"])
    return None


def test_keys_are_random_and_the_pod_knows_which() -> None:
    seen = []
    for _ in range(2):
        found = {one["kind"]: one for one in objects(rendered("helm"))}
        seen.append(json.dumps(found["Secret"]["data"]))
        assert found["StatefulSet"]["spec"]["template"]["metadata"]["annotations"]["checksum/keys"]
    assert seen[0] != seen[1]


def test_a_cluster_without_native_sidecars_is_refused() -> None:
    said = run(str(TOOLS / "bin" / "helm"), "template", "m", str(CHART), "--kube-version", "1.28.9", check=False)
    assert "chart requires kubeVersion: >=1.29.0-0" in said


def test_the_package_holds_what_is_needed_and_no_tests(tmp_path: Path) -> None:
    run(str(TOOLS / "bin" / "helm"), "package", str(CHART), "--destination", str(tmp_path))
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as archive:
        names = {name.removeprefix(f"{CHART.name}/") for name in archive.getnames()}
    assert {"values.schema.json", "README.md", "templates/tests/test.yaml", "templates/NOTES.txt"} <= names
    assert not [name for name in names if name.startswith(("tests/", "ci/"))]


def test_every_template_is_in_a_suite() -> None:
    suites = "".join(path.read_text() for path in (CHART / "tests").glob("*_test.yaml"))
    templates = [path.relative_to(CHART) for path in (CHART / "templates").rglob("*.yaml")]
    assert [str(path) for path in templates if str(path) not in suites] == []
