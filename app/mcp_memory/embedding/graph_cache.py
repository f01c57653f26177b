"""Graphs that were made once, kept by the content of the weights they came from.

    <cache>/graphs/<key>.json       names the folder that counts, replaced atomically
    <cache>/graphs/<key>-<random>/  a graph folder, complete before it is named
    <cache>/sources/<hash>.json     SHA-256 of a weights file, good while its size and time of change stay

Nobody writes into a folder that another process may read: a new one is made, then named. So two processes that start at once
both succeed, and what is left over is removed an hour later.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.embedding.encoder import WEIGHTS_NAME, read_encoder
from mcp_memory.embedding.graph import GRAPH_VERSION
from mcp_memory.embedding.graph_folder import (
    DamagedGraphError,
    Manifest,
    build_graph_folder,
    hash_weights,
    read_manifest,
)
from mcp_memory.loggers import structlog
from mcp_memory.system.records import is_folder, read_record

_log = structlog.get_logger(__name__)
_KEEP_UNNAMED_SECONDS = 3600.0
_NOTE_BYTES = 65_536
_SHA256 = re.compile(r"[0-9a-f]{64}")
_Loaded = TypeVar("_Loaded")


class GraphCache:
    """Graph folders below one cache folder, which is made, 0700, when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._graphs = folder / "graphs"

    def load(self, source: Path, model: str, loader: Callable[[Path, Manifest], _Loaded]) -> _Loaded:
        """`loader(folder, manifest)` of the model's graph, which is made first where there is none or a damaged one.

        `loader` raises DamagedGraphError for a damaged folder. Raises ConfigurationError where the cache can't be written,
        UnsupportedModelError where the model has no graph, EmbeddingError where its files aren't right.
        """
        read_encoder(source, model)
        try:
            weights_sha256 = self._weights_sha256(source, model)
            key = f"{weights_sha256[:32]}-{sha256(model.encode()).hexdigest()[:8]}-v{GRAPH_VERSION}"
            if (named := self._named(key)) is not None:
                try:
                    return loader(named, read_manifest(named))
                except DamagedGraphError as error:
                    _log.warning("model graph is damaged and is made again", folder=str(named), reason=str(error))
            folder = self._build(key, source, model, weights_sha256)
        except OSError as error:
            raise ConfigurationError(
                f"The model's graph can't be kept in {self._folder}: {error}. Set MCP_EMBEDDING_CACHE_DIR to a folder that "
                "this user can write, or MCP_EMBEDDING_MODEL_PATH to one made by `python -m mcp_memory.embedding.prebuild`."
            ) from error
        return loader(folder, read_manifest(folder))

    def _named(self, key: str) -> Path | None:
        """The folder that counts: one that `_build` made for this key, itself and not a link to it."""
        try:
            name = json.loads(read_record(self._graphs / f"{key}.json", limit=_NOTE_BYTES))["folder"]
        except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
            return None
        made = isinstance(name, str) and re.fullmatch(rf"{re.escape(key)}-[A-Za-z0-9_]{{1,32}}", name) is not None
        return self._graphs / name if made and is_folder(self._graphs / name) else None

    def _build(self, key: str, source: Path, model: str, weights_sha256: str) -> Path:
        started = time.monotonic()
        _private_folder(self._graphs)
        folder = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=self._graphs))
        try:
            build_graph_folder(source, folder, model, half=False, weights_sha256=weights_sha256)
            _replace(self._graphs / f"{key}.json", json.dumps({"folder": folder.name}))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._remove_unnamed(key, folder)
        _log.info("model graph made", model=model, folder=str(folder), seconds=round(time.monotonic() - started, 2))
        return folder

    def _remove_unnamed(self, key: str, keep: Path) -> None:
        for other in self._graphs.glob(f"{key}-*"):
            if other != keep and is_folder(other) and time.time() - other.stat().st_mtime > _KEEP_UNNAMED_SECONDS:
                shutil.rmtree(other, ignore_errors=True)

    def _weights_sha256(self, source: Path, model: str) -> str:
        """Hashing 90 MB takes 50 to 800 ms, so it is done once for each file (and name: a known one's hash is checked)."""
        path = (source / WEIGHTS_NAME).resolve()
        state = path.stat()
        expected = {"path": str(path), "model": model, "size": state.st_size, "mtime_ns": state.st_mtime_ns}
        note = self._folder / "sources" / f"{sha256(json.dumps([str(path), model]).encode()).hexdigest()[:32]}.json"
        try:
            noted = json.loads(read_record(note, limit=_NOTE_BYTES))
            known = {name: noted.get(name) for name in expected} == expected
            if known and _SHA256.fullmatch(noted["sha256"]):  # it becomes a name in the cache
                return str(noted["sha256"])
        except (FileNotFoundError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
            pass  # never hashed, or the note is damaged: hash now
        found = hash_weights(source, model)
        _private_folder(note.parent)
        _replace(note, json.dumps(expected | {"sha256": found}))
        return found


def _replace(path: Path, text: str) -> None:
    """Write a small file, 0600, so that a reader sees the old or the new one, whole, whatever happens."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _private_folder(folder: Path) -> None:
    """Make a folder inside the cache folder, and that where it is missing, for this user alone."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
