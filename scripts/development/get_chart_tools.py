"""Install the tools that the Helm chart is checked with into a folder, at pinned versions, by Go alone.

    python3 scripts/development/get_chart_tools.py .chart-tools [TOOL...]

`FOLDER/bin` gets helm (4), helm3, helm-docs, helm-unittest, kubeconform and, for the tests of backups on a cluster, versitygw
(an S3 server); `FOLDER/schemas` the Kubernetes API as JSON schemas, for kubeconform. What is there at its version stays.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KUBERNETES = "v1.36.3"
KINDS = frozenset(
    {
        "ConfigMap",
        "CronJob",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Ingress",
        "Job",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "Pod",
        "PodDisruptionBudget",
        "Secret",
        "Service",
        "ServiceAccount",
        "StatefulSet",
    }
)
"""What the chart renders, of the Kubernetes API itself."""


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    module: str
    version: str
    package: str = "."
    """Folder of the command in its module."""
    in_module: bool = False
    """Built inside its module's folder: a replace directive refuses `go install`."""
    flags: str = ""
    """What the linker is told beside leaving out debug information."""

    @property
    def stamp(self) -> str:
        return f"{self.module} {self.version} {self.flags}\n"


TOOLS = (
    Tool(
        "helm",
        "helm.sh/helm/v4",
        "v4.3.1",
        "cmd/helm",
        flags="-X helm.sh/helm/v4/internal/version.version=v4.3.1",
    ),
    Tool(
        "helm3",
        "helm.sh/helm/v3",
        "v3.22.0",
        "cmd/helm",
        # Without these, as its Makefile gives them, it renders for Kubernetes 1.20.
        flags="-X helm.sh/helm/v3/internal/version.version=v3.22.0 "
        + " ".join(
            f"-X helm.sh/helm/v3/pkg/{package}.k8sVersion{part}={number}"
            for package in ("lint/rules", "chartutil")
            for part, number in (("Major", 1), ("Minor", 37))
        ),
    ),
    Tool("helm-docs", "github.com/norwoodj/helm-docs", "v1.14.2", "cmd/helm-docs"),
    Tool("helm-unittest", "github.com/helm-unittest/helm-unittest", "v1.1.2", "cmd/helm-unittest", in_module=True),
    Tool("kubeconform", "github.com/yannh/kubeconform", "v0.8.0", "cmd/kubeconform"),
    Tool("versitygw", "github.com/versity/versitygw", "v1.8.0", "cmd/versitygw"),
)


def main(folder: Path, wanted: list[str]) -> None:
    binaries = folder / "bin"
    binaries.mkdir(parents=True, exist_ok=True)
    for tool in TOOLS:
        if wanted and tool.name not in wanted:
            continue
        stamp = binaries / f".{tool.name}.version"
        if stamp.exists() and stamp.read_text() == tool.stamp and (binaries / tool.name).exists():
            continue
        print(f"building {tool.name} {tool.version}", flush=True)
        build(tool, binaries)
        stamp.write_text(tool.stamp)
    if not wanted or "schemas" in wanted:
        schemas(folder / "schemas")


def build(tool: Tool, binaries: Path) -> None:
    source = download(tool.module, tool.version)
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, "bin")
        ldflags = f"-ldflags=-s -w {tool.flags}".strip()
        if tool.in_module:
            # The module cache is read-only, and `go build` may want to touch go.sum.
            work = Path(scratch, "source")
            shutil.copytree(source, work, copy_function=shutil.copyfile)
            for path in (work, *work.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
            go("build", "-trimpath", ldflags, "-o", str(output / tool.name), f"./{tool.package}", cwd=work)
            built = output / tool.name
        else:
            package = f"{tool.module}/{tool.package}@{tool.version}"
            go("install", "-trimpath", ldflags, package, cwd=Path(scratch), GOBIN=str(output))
            built = next(output.iterdir())
        shutil.copy(built, binaries / f".{tool.name}.part")
        (binaries / f".{tool.name}.part").replace(binaries / tool.name)


def schemas(folder: Path) -> None:
    """One strict JSON schema for each kind, from the OpenAPI document that stands in the Kubernetes module."""
    stamp = folder / ".version"
    content = f"{KUBERNETES} {' '.join(sorted(KINDS))}\n"
    if stamp.exists() and stamp.read_text() == content:
        return
    print(f"writing schemas of Kubernetes {KUBERNETES}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    document = json.loads(Path(download("k8s.io/kubernetes", KUBERNETES), "api/openapi-spec/swagger.json").read_text())
    definitions: dict[str, Any] = document["definitions"]
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            if kind["kind"] not in KINDS:
                continue
            group = f"{kind['group'].split('.')[0]}-" if kind["group"] else ""
            path = folder / f"{kind['kind'].lower()}-{group}{kind['version']}.json"
            path.write_text(json.dumps(standalone(name, definitions)))
    stamp.write_text(content)


def standalone(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The definition with all it refers to, in which unknown fields are mistakes."""
    needed: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in needed:
            continue
        needed[current] = strict(definitions[current])
        waiting += references(definitions[current])
    return {"$ref": f"#/definitions/{name}", "definitions": needed}


def strict(definition: dict[str, Any]) -> dict[str, Any]:
    if definition.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    if "properties" not in definition:
        return definition
    nullable = {
        key: {"oneOf": [value, {"type": "null"}]} if key == "creationTimestamp" else value
        for key, value in definition["properties"].items()
    }
    return {**definition, "properties": nullable, "additionalProperties": False}


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [str(node["$ref"]).rpartition("/")[2]] if isinstance(node.get("$ref"), str) else []
        return own + [name for value in node.values() for name in references(value)]
    if isinstance(node, list):
        return [name for value in node for name in references(value)]
    return []


def download(module: str, version: str) -> str:
    """The folder of a module in Go's cache, fetched and verified by Go."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = subprocess.run(
            [executable(), "mod", "download", "-json", f"{module}@{version}"],
            cwd=scratch,
            check=False,
            stdout=subprocess.PIPE,
            text=True,
        )
    found: dict[str, str] = json.loads(answer.stdout)
    if "Dir" not in found:
        sys.exit(f"{module}@{version} can't be had: {found.get('Error', 'no reason given')}")
    return found["Dir"]


def go(*arguments: str, cwd: Path, **environment: str) -> None:
    subprocess.run(
        [executable(), *arguments],
        cwd=cwd,
        check=True,
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", **environment},
    )


def executable() -> str:
    return shutil.which("go") or sys.exit(
        "Go is needed: https://go.dev/doc/install (1.26 or later), then run this again."
    )


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
