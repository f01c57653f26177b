"""The folder and the collection in it, opened together under the folder's lock; what the engine process holds."""

from __future__ import annotations

import logging
import resource
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mcp_memory.domain.errors import StorageFullError
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.storage.analysis import VERSION as TERMS_VERSION
from mcp_memory.storage.qdrant_embedded import manifest as manifests
from mcp_memory.storage.qdrant_embedded.collection import Collection
from mcp_memory.storage.qdrant_embedded.copying import copy_tree
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder, disk_bytes
from mcp_memory.storage.qdrant_embedded.manifest import Manifest, Model
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_embedded.protocol import Figures
from mcp_memory.storage.qdrant_embedded.shard_config import BINARY, TURBO
from mcp_memory.storage.qdrant_embedded.space import (
    DELETING_BYTES,
    OPENING_BYTES,
    SET_ASIDE_BYTES,
    SMALL_FILES_BYTES,
    TIGHT_BYTES,
    check_space,
    free_bytes,
    places_for_a_copy,
    set_aside,
)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class OpenStore:
    """An open collection with the manifest that describes it."""

    options: EmbeddedOptions
    folder: StorageFolder
    manifest: Manifest
    collection: Collection
    read_only: bool = False
    """A copy on another disk answers: the store's own is too full to open it there."""
    released: bool = False
    """What was set aside is in use, and not for what is stored anew."""

    @classmethod
    def open(cls, options: EmbeddedOptions) -> OpenStore:
        """Open the folder, creating what never existed. Only for the holder of its lock.

        Raises StorageFormatError for a folder that isn't ours or isn't whole, StorageFullError where opening could kill the
        process.
        """
        folder = StorageFolder(options.path)
        found = folder.look()
        released = False
        if found is not None and free_bytes(folder.path) < OPENING_BYTES:
            released = folder.reserve.exists()
            folder.reserve.unlink(missing_ok=True)  # set aside for this moment
            if free_bytes(folder.path) < OPENING_BYTES:
                return cls._open_copy(options, folder, found)
        check_space(options.path, OPENING_BYTES, "opening the store")
        if found is None:
            return cls._create(options, folder)
        folder.receive(found)
        folder.remove_leftovers(found.generations)
        folder.tighten_files()
        collection = Collection.load(
            folder.generation(found.generation),
            vector_name=vector_name(found.model),
            dimensions=found.model.dimensions,
            quantization=found.quantization,
            graph=found.graph,
            on_disk_payload=options.on_disk_payload,
        )
        if manifests.stored_format(folder.path) != manifests.FORMAT:
            manifests.write(folder.path, found)
            log.info("storage folder %s upgraded to format version %d", folder.path, manifests.FORMAT)
        store = cls(options, folder, found, collection, released=released)
        store.set_aside()
        return store

    @classmethod
    def _open_copy(cls, options: EmbeddedOptions, folder: StorageFolder, found: Manifest) -> OpenStore:
        """For reading: the engine writes while it opens a shard, and dies where it can't, so it opens a copy where there is room.

        Raises StorageFullError where there is none.
        """
        shard = folder.generation(found.generation)
        if found.arriving is not None and not shard.exists():
            shard = folder.path / found.arriving
        needed = 2 * disk_bytes(shard) + 2 * OPENING_BYTES
        place = next(places_for_a_copy(folder.path, needed), None)
        if place is None:
            check_space(options.path, OPENING_BYTES, "opening the store")
            raise StorageFullError(f"No space left on device: {folder.path} can't be opened. Free some space.")
        with tempfile.TemporaryDirectory(prefix="mcp-memory-read-only-", dir=place, ignore_cleanup_errors=True) as copy:
            copy_tree(shard, Path(copy) / "shard")
            collection = Collection.load(
                Path(copy) / "shard",
                vector_name=vector_name(found.model),
                dimensions=found.model.dimensions,
                quantization=found.quantization,
                graph=found.graph,
                on_disk_payload=options.on_disk_payload,
            )
            # Its files are mapped: they live on without their names, and go with this process.
        log.warning(
            "the disk of %s is full: memories can be read (from a copy that was in %s), nothing can be written",
            folder.path,
            place,
        )
        return cls(options, folder, found, collection, read_only=True)

    @classmethod
    def _create(cls, options: EmbeddedOptions, folder: StorageFolder) -> OpenStore:
        """First generation, then the manifest: until that is there, a crash means to begin again."""
        manifests.replace_file(folder.creating, b"")
        folder.remove_leftovers(set())
        model = stored_model(options)
        manifest = Manifest(
            collection=options.collection,
            model=model,
            generation=1,
            quantization=BINARY if options.quantization else TURBO,
            terms=TERMS_VERSION,
        )
        collection = Collection.create(
            folder.generation(1),
            vector_name=vector_name(model),
            dimensions=model.dimensions,
            quantization=manifest.quantization,
        )
        manifests.sync_folder(folder.generations)
        manifests.write(folder.path, manifest)
        folder.creating.unlink()
        manifests.sync_folder(folder.path)
        return cls(options, folder, manifest, collection)

    def check_space(self) -> None:
        """Raises StorageFullError where less than the reserve is free, or this store was opened for reading."""
        needed = self.options.disk_reserve_bytes + (SET_ASIDE_BYTES if self.released else 0)
        check_space(self.folder.path, needed, "a write (MCP_QDRANT_DISK_RESERVE_BYTES)")
        if self.read_only:
            check_space(self.folder.path, max(needed, OPENING_BYTES), "a write")

    @property
    def outdated(self) -> bool:
        """Opened for reading, and there is room again: an engine that begins anew can write."""
        return self.read_only and free_bytes(self.folder.path) >= max(self.options.disk_reserve_bytes, OPENING_BYTES)

    def room_to_delete(self) -> bool:
        """Whether a deletion has the space that it needs, what was set aside included: so people get out of a full disk."""
        if self.read_only:
            return False
        if free_bytes(self.folder.path) < DELETING_BYTES and self.folder.reserve.exists():
            self.folder.reserve.unlink()
            self.released = True
        return free_bytes(self.folder.path) >= DELETING_BYTES

    def set_aside(self) -> None:
        """Where space gets tight, take what the next opening and deletions need; what is in use of it comes first."""
        reserve = self.options.disk_reserve_bytes
        if self.read_only or not reserve or free_bytes(self.folder.path) >= TIGHT_BYTES:
            return
        set_aside(self.folder.reserve, leave=SMALL_FILES_BYTES if self.released else max(reserve, OPENING_BYTES))
        self.released = self.released and not self.folder.reserve.exists()

    @property
    def shard(self) -> Path:
        """Where the serving generation lies."""
        return self.folder.generation(self.manifest.generation)

    def figures(self, *, waiting: bool) -> Figures:
        """Sizes. `waiting`: a new graph is due or being built, so that only what the present one holds counts as indexed."""
        count = self.collection.count(EVERYTHING)
        graph = self.manifest.graph
        details = {
            "index": "flat" if graph is None else "hnsw",
            "hnsw_m": None if graph is None else graph.m,
            "quantization": self.manifest.quantization.kind,
            "oversampling": self.collection.quantization.oversampling,
            "ef": self.collection.quantization.ef,
            "exact": self.collection.quantization.exact,
            "generation": self.manifest.generation,
            "segments": self.collection.segments(),
            "terms": self.manifest.terms,
            "format": self.manifest.format,
            "read_only": self.read_only,
        }
        indexed = min(count, 0 if graph is None else graph.vectors) if waiting else count
        disk = self.folder.size(self.manifest.generation)
        return Figures(count, indexed, disk, resident_bytes(), details)

    def close(self) -> None:
        if self.read_only:
            return  # there is nothing to write, and no place
        self.collection.close()
        self.set_aside()


def stored_model(options: EmbeddedOptions) -> Model:
    return Model(options.model.name, options.model.dimensions, options.model.fingerprint)


def vector_name(model: Model) -> str:
    return f"dense_{model.fingerprint[:8]}"


def resident_bytes() -> int:
    """This process's resident memory, mapped files included; its peak where the platform tells nothing else."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return int(status.split("VmRSS:")[1].split()[0]) * 1024
