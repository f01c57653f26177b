"""Build an image twice without any cache and compare what came out, layer by layer.

    python3 docker/reproducible.py [--target image] [--platform linux/amd64]

Both builds rewrite timestamps to SOURCE_DATE_EPOCH (by default the time of the last commit). Ends with 1 where digests differ,
and prints which files of which layer do.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
BAKE_FILE = "docker/docker-bake.hcl"


def build(target: str, platform: str, epoch: str, archive: Path) -> None:
    """Bake without cache into an OCI archive."""
    subprocess.run(
        [
            *("docker", "buildx", "bake", "--file", BAKE_FILE, "--no-cache", "--progress", "quiet"),
            *("--set", f"{target}.platform={platform}"),
            *("--set", f"{target}.output=type=oci,dest={archive},rewrite-timestamp=true"),
            # A record of the build names its time, and is no part of the image.
            *("--set", f"{target}.attest=type=provenance,disabled=true"),
            target,
        ],
        cwd=ROOT,
        env={**os.environ, "SOURCE_DATE_EPOCH": epoch},
        check=True,
    )


class Archive:
    """An image of one platform, as an OCI archive."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path)  # noqa: SIM115 - lives as long as the program
        index = self._json("index.json")
        while "layers" not in index:
            index = self._json(_blob(index["manifests"][0]["digest"]))
        self.config: str = index["config"]["digest"]
        self.layers: list[str] = [layer["digest"] for layer in index["layers"]]

    def files(self, layer: str) -> dict[str, str]:
        """What identifies each file of a layer, by path."""
        with tarfile.open(fileobj=self._open(_blob(layer)), mode="r:*") as entries:
            return {entry.name: _identity(entries, entry) for entry in entries}

    def _json(self, name: str) -> Any:
        return json.load(self._open(name))

    def _open(self, name: str) -> IO[bytes]:
        file = self._tar.extractfile(name)
        if file is None:
            raise ValueError(f"{name} is no file in the archive")
        return file


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _identity(entries: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    content = hashlib.sha256()
    if entry.isfile():
        file = entries.extractfile(entry)
        if file is not None:
            while block := file.read(1 << 20):
                content.update(block)
    return f"{entry.mode:o} {entry.uid}:{entry.gid} {entry.mtime} {entry.linkname} {content.hexdigest()}"


def compare(first: Archive, second: Archive) -> bool:
    """Print each layer's digests, and the files that differ; whether everything is equal."""
    for ours, theirs in zip(first.layers, second.layers, strict=True):
        print(f"{ours} {'same' if ours == theirs else 'DIFFERS: ' + theirs}")
        if ours != theirs:
            one, two = first.files(ours), second.files(theirs)
            changed = sorted(path for path in one.keys() | two.keys() if one.get(path) != two.get(path))
            for path in changed[:20]:
                print(f"    {path}\n      {one.get(path)}\n      {two.get(path)}")
            if not changed:
                print("    the same files in another order or packed in another way")
    print(f"{first.config} {'same' if first.config == second.config else 'DIFFERS: ' + second.config} (configuration)")
    return (first.layers, first.config) == (second.layers, second.config)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="image", help="a target of the bake file (image)")
    parser.add_argument("--platform", default="linux/amd64", help="one platform (linux/amd64)")
    options = parser.parse_args()
    committed = subprocess.run(
        ["git", "log", "-1", "--format=%ct"],  # noqa: S607 - git on PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or committed or "0"
    with tempfile.TemporaryDirectory() as folder:
        archives = []
        for number in (1, 2):
            path = Path(folder) / f"{number}.tar"
            build(options.target, options.platform, epoch, path)
            archives.append(Archive(path))
        return 0 if compare(*archives) else 1


if __name__ == "__main__":
    sys.exit(main())
