"""Print what an image costs to pull: the compressed size of its layers, by architecture.

    python3 docker/image_sizes.py IMAGE...

Reads `docker save`. Layers that an engine keeps uncompressed are counted as gzip would make them. A MB is a million bytes.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Layer:
    compressed_bytes: int
    made_by: str


@dataclass(frozen=True)
class Platform:
    """One architecture of an image."""

    architecture: str
    layers: tuple[Layer, ...]

    @property
    def compressed_bytes(self) -> int:
        return sum(layer.compressed_bytes for layer in self.layers)


class SavedImage:
    """An image as `docker save` writes it: OCI blobs, or (older engines) Docker's own layout."""

    def __init__(self, file: BinaryIO) -> None:
        self._tar = tarfile.open(fileobj=file)  # noqa: SIM115 - lives as long as the image
        self._names = set(self._tar.getnames())

    def platforms(self) -> Iterator[Platform]:
        """Every architecture whose layers are in the archive."""
        if "index.json" in self._names:
            yield from self._of_index(self._json("index.json"))
        else:
            for image in self._json("manifest.json"):
                yield self._platform(image["Config"], image["Layers"])

    def _of_index(self, index: dict[str, Any]) -> Iterator[Platform]:
        for entry in index["manifests"]:
            name = _blob(entry["digest"])
            if name not in self._names:
                continue  # an architecture that isn't on this machine
            document = self._json(name)
            if "manifests" in document:
                yield from self._of_index(document)
                continue
            layers = [_blob(layer["digest"]) for layer in document["layers"]]
            known = entry.get("platform", {}).get("os") != "unknown"  # unknown: a record of the build, no image
            if known and all(layer in self._names for layer in layers):
                yield self._platform(_blob(document["config"]["digest"]), layers)

    def _platform(self, config_name: str, layers: list[str]) -> Platform:
        config = self._json(config_name)
        steps = [step.get("created_by", "") for step in config.get("history", []) if not step.get("empty_layer")]
        steps += [""] * (len(layers) - len(steps))
        sizes = (Layer(self._compressed(layer), made_by) for layer, made_by in zip(layers, steps, strict=False))
        return Platform(config["architecture"], tuple(sizes))

    def _json(self, name: str) -> Any:
        with self._open(name) as file:
            return json.load(file)

    def _compressed(self, name: str) -> int:
        with self._open(name) as file:
            head = file.read(4)
            if head[:2] == GZIP_MAGIC or head == ZSTD_MAGIC:
                return self._tar.getmember(name).size
            return len(gzip.compress(head + file.read(), 6))

    def _open(self, name: str) -> IO[bytes]:
        file = self._tar.extractfile(name)
        if file is None:
            raise ValueError(f"{name} in the saved image is not a file")
        return file


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def measure(image: str) -> list[Platform]:
    """Architectures of a local image. Raises CalledProcessError where there is no such image."""
    with tempfile.TemporaryFile() as file:
        subprocess.run(["docker", "save", image], stdout=file, check=True)  # noqa: S607 - the client on PATH
        file.seek(0)
        return list(SavedImage(file).platforms())


def main(images: list[str]) -> None:
    for image in images:
        for platform in measure(image):
            print(f"{image:32} {platform.architecture:6} {platform.compressed_bytes / MEGABYTE:7.1f} MB compressed")
            for layer in platform.layers:
                print(f"{'':39} {layer.compressed_bytes / MEGABYTE:7.1f}    {layer.made_by.strip()[:70]}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
