"""The folder and the collection in it, opened together under the folder's lock; what the engine process holds."""

from __future__ import annotations

import logging
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

from mcp_memory.domain.query import EVERYTHING
from mcp_memory.storage.qdrant_embedded import manifest as manifests
from mcp_memory.storage.qdrant_embedded.collection import Collection
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder
from mcp_memory.storage.qdrant_embedded.manifest import Manifest, Model
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_embedded.protocol import Figures
from mcp_memory.storage.qdrant_embedded.shard_config import BINARY, TURBO
from mcp_memory.storage.qdrant_embedded.space import OPENING_BYTES, check_space

log = logging.getLogger(__name__)


@dataclass(slots=True)
class OpenStore:
    """An open collection with the manifest that describes it."""

    options: EmbeddedOptions
    folder: StorageFolder
    manifest: Manifest
    collection: Collection

    @classmethod
    def open(cls, options: EmbeddedOptions) -> OpenStore:
        """Open the folder, creating what never existed. Only for the holder of its lock.

        Raises StorageFormatError for a folder that isn't ours or isn't whole, StorageFullError where opening could kill the
        process.
        """
        folder = StorageFolder(options.path)
        found = folder.look()
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
        return cls(options, folder, found, collection)

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
        """Raises StorageFullError where less than the reserve is free."""
        check_space(self.folder.path, self.options.disk_reserve_bytes, "a write (MCP_QDRANT_DISK_RESERVE_BYTES)")

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
            "oversampling": self.manifest.quantization.oversampling,
            "generation": self.manifest.generation,
            "segments": self.collection.segments(),
            "format": self.manifest.format,
        }
        indexed = min(count, 0 if graph is None else graph.vectors) if waiting else count
        disk = self.folder.size(self.manifest.generation)
        return Figures(count, indexed, disk, resident_bytes(), details)

    def close(self) -> None:
        self.collection.close()


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
