"""manifest.json: what a storage folder holds, replaced atomically; its format version and the steps from older ones."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from mcp_memory.domain.errors import StorageFormatError
from mcp_memory.native import upgrade_command
from mcp_memory.storage.bm25 import SETTINGS as BM25_SETTINGS
from mcp_memory.storage.succession import BACKUP_COLLECTION, NEW_COLLECTION
from mcp_memory.system.records import NO_LINK, one_line, read_record

PRODUCT: Final = "mcp-memory"
FORMAT: Final = 1
NAME: Final = "manifest.json"

GENERATION: Final = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)
"""The name of a generation's folder."""
COLLECTION: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ARRIVING = re.compile(rf"{NEW_COLLECTION.pattern}/generations/{GENERATION.pattern}")
_FINGERPRINT = re.compile(r"[0-9a-f]{1,64}")
_MANIFEST_BYTES = 1024 * 1024


class Model(msgspec.Struct, frozen=True):
    """Which model the vectors came from."""

    name: str
    dimensions: int
    fingerprint: str


class Graph(msgspec.Struct, frozen=True):
    """The HNSW graph of a generation: its parameters, and how many memories were in it when it was built."""

    m: int
    ef_construct: int
    vectors: int


class Quantization(msgspec.Struct, frozen=True):
    """How vectors are kept for the first pass of a search; the candidates are always rescored with the originals."""

    kind: str
    """turbo4 or binary."""
    oversampling: float
    ef: int = 128
    """Breadth of a search in the graph."""
    exact: bool = False
    """Every original is compared: no other effort reached the recall that is wanted."""
    measured: int = 0
    """How many memories there were when oversampling, ef and exact were chosen; 0: they are what a kind begins with."""


class Kept(msgspec.Struct, frozen=True):
    """A generation besides the one that serves: a backup of a model change."""

    generation: int
    model: Model
    quantization: Quantization
    graph: Graph | None = None
    terms: int = 1


class Manifest(msgspec.Struct, frozen=True):
    """Everything needed to open a folder, or to refuse it by name."""

    collection: str
    model: Model
    generation: int
    quantization: Quantization
    graph: Graph | None = None
    aliases: dict[str, str] = {}
    kept: dict[str, Kept] = {}
    """By the names that people use for them: `memories_backup_...`."""
    arriving: str | None = None
    """Where the serving generation's shard was built, below this folder, until it has been moved to generations/."""
    bm25: dict[str, Any] = msgspec.field(default_factory=lambda: dict(BM25_SETTINGS))
    terms: int = 1
    """Version of the terms that keyword search finds memories by (storage/analysis.py); an older one makes a new generation."""
    format: int = FORMAT
    product: str = PRODUCT

    @property
    def generations(self) -> set[int]:
        """Those that hold memories somebody may still want."""
        return {self.generation, *(kept.generation for kept in self.kept.values())}


UPGRADES: Final[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
"""From a format version to the next: a pure step on the manifest's fields. Steps that touch the shard make a new generation."""


def read(folder: Path) -> Manifest:
    """Raises StorageFormatError where the file is missing, damaged, of another product or of a newer version."""
    path = folder / NAME
    try:
        fields = msgspec.json.decode(read_record(path, limit=_MANIFEST_BYTES), type=dict[str, Any])
    except OSError as error:
        raise StorageFormatError(
            f"Can't read {path}: {error.strerror}. Nothing was changed.\n"
            f"Restore the file from a backup, or check its owner and mode: ls -l {path}"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from None
    return parse(path, fields)


def stored_format(folder: Path) -> int:
    """The version that is written down, which `read` may have upgraded in memory."""
    return int(msgspec.json.decode(read_record(folder / NAME), type=dict[str, Any])["format"])


def parse(path: Path, fields: dict[str, Any]) -> Manifest:
    """The manifest in today's form. An older version is upgraded in memory; the engine writes it down after opening."""
    version = fields.get("format")
    if fields.get("product") != PRODUCT or not isinstance(version, int):
        raise _damaged(path, "it isn't a manifest of this product")
    if version > FORMAT:
        raise StorageFormatError(
            f"The storage folder {path.parent} has format version {version}; this release knows {FORMAT} and older.\n"
            f"It was left as it is. Install the release that wrote it, or a newer one:  {upgrade_command()}"
        )
    while version < FORMAT:
        step = UPGRADES.get(version)
        if step is None:
            raise _damaged(path, f"no way leads from format version {version} to {FORMAT}")
        fields = {**step(fields), "format": version + 1}
        version += 1
    try:
        manifest = msgspec.convert(fields, Manifest)
    except msgspec.ValidationError as error:
        raise _damaged(path, str(error)) from None
    problem = next(_problems(manifest), None)
    if problem is not None:
        raise _damaged(path, problem)
    return manifest


def is_ours(folder: Path) -> bool:
    """Whether the manifest in a folder is one of this product, of whichever version and however damaged otherwise."""
    try:
        fields = msgspec.json.decode(read_record(folder / NAME, limit=_MANIFEST_BYTES), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False
    return fields.get("product") == PRODUCT


def _problems(manifest: Manifest) -> Iterator[str]:
    """What we never write. A name here becomes a path that is moved and deleted, so exactly our own forms pass."""
    if COLLECTION.fullmatch(manifest.collection) is None:
        yield f"{manifest.collection!r} is no name of a collection"
    if manifest.arriving is not None and _ARRIVING.fullmatch(manifest.arriving) is None:
        yield f"'arriving' is {manifest.arriving!r}, which is no place that a model change builds in"
    for alias, target in manifest.aliases.items():
        if COLLECTION.fullmatch(alias) is None or COLLECTION.fullmatch(target) is None:
            yield f"{alias!r} is no name of an alias"
    for name, kept in manifest.kept.items():
        if BACKUP_COLLECTION.fullmatch(name) is None:
            yield f"{name!r} is no name of a backup"
        yield from _problems_of(kept)
    yield from _problems_of(manifest)


def _problems_of(held: Manifest | Kept) -> Iterator[str]:
    if GENERATION.fullmatch(str(held.generation)) is None:
        yield f"{held.generation} is no number of a generation"
    model = held.model
    if not one_line(model.name, 1_000) or not model.name or _FINGERPRINT.fullmatch(model.fingerprint) is None:
        yield "its model has no name and fingerprint that we would write"
    if not 0 < model.dimensions <= 65_536:
        yield f"its model has {model.dimensions} dimensions"
    if not (math.isfinite(held.quantization.oversampling) and 1 <= held.quantization.oversampling <= 1_024):
        yield f"its oversampling is {held.quantization.oversampling}"
    graph = held.graph
    if graph is not None and not (0 <= graph.m <= 1_024 and 0 < graph.ef_construct <= 100_000 and graph.vectors >= 0):
        yield f"its graph is {graph}"


def write(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest so that any crash leaves the old one or the new one, whole."""
    replace_file(folder / NAME, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def replace_file(path: Path, content: bytes) -> None:
    """Write, fsync, rename, fsync the folder. A link in the way of the part is an error, not a way elsewhere."""
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | NO_LINK, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable; Windows does so by itself."""
    if os.name == "posix":
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _damaged(path: Path, why: str) -> StorageFormatError:
    return StorageFormatError(
        f"The manifest {path} is damaged: {why}. Nothing was changed.\nRestore the folder from a backup, or move it away: "
        f"mv {path.parent} {path.parent}.damaged"
    )
