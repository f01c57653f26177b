"""Publish images: push each platform by digest, merge them under their tags, look at what stands there, start each once.

    python3 docker/publish.py matrix
    python3 docker/publish.py push    --name onnx --platform linux/amd64 --repository REPOSITORY --digests FOLDER
    python3 docker/publish.py merge   --name onnx --repository REPOSITORY --version 1.2.3 [--latest] --digests FOLDER
    python3 docker/publish.py inspect --name onnx --repository REPOSITORY --version 1.2.3 [--without-sbom]
    python3 docker/publish.py start   --name onnx --repository REPOSITORY --version 1.2.3 --platform linux/arm64

CI runs these steps, a runner a platform; tests/images/test_publish.py runs them against a registry of its own.
A name is one of the bake file's matrix `release`: onnx (the default), torch (tag with -torch), proxy (repository with -proxy).
"""

from __future__ import annotations

import argparse
import json
import os
import platform as machine
import re
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BAKE = ("docker", "buildx", "bake", "--file", "docker/docker-bake.hcl")
RUNNERS = {"linux/amd64": "ubuntu-24.04", "linux/arm64": "ubuntu-24.04-arm"}
"""CI's machine for each platform: built and tested where it will run."""
TESTS = {"onnx": "test-image", "torch": "test-image-torch", "proxy": "test-image-proxy"}
"""The make target that builds and tests an image on the machine that will push it."""
NATIVE = {"x86_64": "linux/amd64", "aarch64": "linux/arm64", "arm64": "linux/arm64"}.get(machine.machine())
PROVENANCE, BILL_OF_MATERIALS = "https://slsa.dev/provenance/", "https://spdx.dev/Document"
HEALTHY_SECONDS = 180


class PublishError(Exception):
    """What stands in the registry, or what was asked, isn't as it has to be."""


def run(*command: str) -> str:
    """A command's output. Raises PublishError with what it printed where it failed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PublishError(f"{' '.join(command)}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def targets() -> dict[str, list[str]]:
    """What the bake file publishes: name to platforms."""
    printed = json.loads(run(*BAKE, "--print", "release"))
    return {name.removeprefix("release-"): target["platforms"] for name, target in printed["target"].items()}


def matrix() -> list[dict[str, str]]:
    """One entry a job of CI."""
    return [
        {
            "name": name,
            "platform": platform,
            "runner": RUNNERS[platform],
            "test": TESTS[name],
            "file": file_name(name, platform),
        }
        for name, platforms in targets().items()
        for platform in platforms
    ]


def file_name(name: str, platform: str) -> str:
    return f"{name}-{platform.replace('/', '-')}"


def repository_of(name: str, repository: str) -> str:
    return f"{repository}-proxy" if name == "proxy" else repository


def reference(name: str, repository: str, version: str) -> str:
    """The tag under which an image is published."""
    return f"{repository_of(name, repository)}:{version}{'-torch' if name == 'torch' else ''}"


def push(name: str, platform: str, repository: str, digests: Path) -> str:
    """Push one platform; its digest, also written into the folder.

    Without a tag where the builder can do that. Docker's own (driver `docker`, as on most people's machines) can't: there the
    tag `staging-...` names it too, and what follows goes by digest all the same.
    """
    where = repository_of(name, repository)
    target = f"release-{name}"
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder) / "metadata.json"
        if "Driver: docker\n" in re.sub(r"(Driver:) +", r"\1 ", run("docker", "buildx", "inspect")):
            output = f"type=image,name={where}:staging-{file_name(name, platform)},push=true"
        else:
            output = f"type=image,name={where},push=true,push-by-digest=true,name-canonical=true"
        if os.environ.get("SOURCE_DATE_EPOCH"):
            output += ",rewrite-timestamp=true"
        run(
            *(*BAKE, "--progress", "plain", "--metadata-file", str(metadata)),
            *("--set", f"{target}.platform={platform}", "--set", f"{target}.output={output}", target),
        )
        digest = str(json.loads(metadata.read_text())[target]["containerimage.digest"])
    digests.mkdir(parents=True, exist_ok=True)
    (digests / file_name(name, platform)).write_text(digest + "\n")
    return digest


def merge(name: str, repository: str, tags: list[str], digests: Path) -> None:
    """Give all platforms that were pushed common tags. Refuses where one is missing."""
    wanted = {platform: digests / file_name(name, platform) for platform in targets()[name]}
    missing = [platform for platform, file in wanted.items() if not file.exists()]
    if missing:
        raise PublishError(f"{name} was not pushed for {', '.join(missing)}: nothing is in {digests}. Push that first.")
    where = repository_of(name, repository)
    sources = [f"{where}@{file.read_text().strip()}" for file in wanted.values()]
    run("docker", "buildx", "imagetools", "create", *(part for tag in tags for part in ("--tag", tag)), *sources)


def inspect(name: str, tag: str, *, sbom: bool) -> dict[str, str]:
    """The digest of each platform's image. Refuses where a platform, or the record of one's build, got lost."""
    index = _raw(tag)
    where = tag.rpartition(":")[0]
    images: dict[str, str] = {}
    records: dict[str, set[str]] = {}
    for entry in index.get("manifests", []):
        about = entry.get("annotations", {}).get("vnd.docker.reference.digest")
        if about is None:
            images[f"{entry['platform']['os']}/{entry['platform']['architecture']}"] = entry["digest"]
        else:
            layers = _raw(f"{where}@{entry['digest']}")["layers"]
            records.setdefault(about, set()).update(
                layer.get("annotations", {}).get("in-toto.io/predicate-type", "") for layer in layers
            )
    expected = targets()[name]
    if sorted(images) != sorted(expected):
        raise PublishError(f"{tag} holds {sorted(images)}, not {sorted(expected)}")
    for platform, digest in images.items():
        kinds = records.get(digest, set())
        for kind, words in ((PROVENANCE, "record of its build"), (BILL_OF_MATERIALS, "bill of materials")):
            wanted = sbom or kind is PROVENANCE
            if wanted and not any(found.startswith(kind) for found in kinds):
                raise PublishError(f"{tag} for {platform} has lost its {words} ({kind}): found {sorted(kinds)}")
    return images


def _raw(image: str) -> dict[str, Any]:
    return dict(json.loads(run("docker", "buildx", "imagetools", "inspect", "--raw", image)))


def start(name: str, image: str, platform: str) -> None:
    """Pull one platform of what was published and start it once: healthy, and a clean end."""
    run("docker", "pull", "--quiet", "--platform", platform, image)
    options = ["--platform", platform, *([] if platform == NATIVE else ["--env", "QEMU_CPU=cortex-a76"])]
    if name == "proxy":
        run("docker", "run", "--rm", *options, "--entrypoint", "haproxy", image, "-v")
        return
    container = f"memory-published-{uuid.uuid4().hex[:12]}"
    patient = [] if platform == NATIVE else ["--health-start-interval", "3s", "--health-timeout", "30s"]
    try:
        run("docker", "run", "--detach", "--name", container, *options, *patient, image)
        deadline = time.monotonic() + HEALTHY_SECONDS
        while (state := _state(container))["Health"]["Status"] != "healthy":
            if not state["Running"] or time.monotonic() > deadline:
                log = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=False)  # noqa: S607
                raise PublishError(f"{image} for {platform} isn't healthy\n{log.stdout}{log.stderr}")
            time.sleep(0.5)
        run("docker", "exec", container, "memory", "store", "Published and started")
        run("docker", "stop", "--time", "60", container)
        if (code := _state(container)["ExitCode"]) != 0:
            raise PublishError(f"{image} for {platform} ended with {code}")
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", container], capture_output=True, check=False)  # noqa: S607


def _state(container: str) -> dict[str, Any]:
    return dict(json.loads(run("docker", "inspect", container))[0]["State"])


def tags_of(name: str, repository: str, version: str, *, latest: bool) -> list[str]:
    """1.2.3 also as 1.2, 1 and latest, where it is the newest release."""
    versions = [version]
    if latest and (numbers := re.fullmatch(r"(\d+)\.(\d+)\.\d+", version)):
        versions += [f"{numbers[1]}.{numbers[2]}", numbers[1], "latest"]
    return [reference(name, repository, each) for each in versions]


def main() -> int:
    options = parse()
    name, repository = options.name, options.repository
    match options.step:
        case "matrix":
            print(json.dumps(matrix()))
        case "push":
            print(push(name, options.platform, repository, options.digests))
        case "merge":
            tags = tags_of(name, repository, options.version, latest=options.latest)
            merge(name, repository, tags, options.digests)
            print("\n".join(tags))
        case "inspect":
            tag = reference(name, repository, options.version)
            for platform, digest in inspect(name, tag, sbom=not options.without_sbom).items():
                print(f"{tag} {platform} {digest}")
        case "start":
            start(name, reference(name, repository, options.version), options.platform)
            print(f"{reference(name, repository, options.version)} {options.platform} started, was healthy, and ended")
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", required=True, choices=["onnx", "torch", "proxy"])
    common.add_argument("--repository", required=True)
    digests = argparse.ArgumentParser(add_help=False)
    digests.add_argument("--digests", type=Path, required=True)
    version = argparse.ArgumentParser(add_help=False)
    version.add_argument("--version", required=True)
    platform = argparse.ArgumentParser(add_help=False)
    platform.add_argument("--platform", required=True, choices=list(RUNNERS))
    steps.add_parser("matrix").set_defaults(name="", repository="")
    steps.add_parser("push", parents=[common, platform, digests])
    steps.add_parser("merge", parents=[common, version, digests]).add_argument("--latest", action="store_true")
    steps.add_parser("inspect", parents=[common, version]).add_argument("--without-sbom", action="store_true")
    steps.add_parser("start", parents=[common, version, platform])
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PublishError as problem:
        sys.exit(str(problem))
