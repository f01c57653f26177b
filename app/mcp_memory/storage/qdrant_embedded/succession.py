"""Generations that take each other's place in a storage folder.

The new collection is a store of its own in the subfolder `<name>_new_<hash8>`, with an engine of its own. Taking over moves its
shard to generations/ and then replaces the manifest: until that the old generation answers, from then on the new one.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

import msgspec

from mcp_memory.domain.errors import (
    NothingStoredError,
    StorageError,
    StorageFormatError,
    StorageFullError,
    StorageLockedError,
)
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.storage.base import BaseStorage, opened
from mcp_memory.storage.qdrant_embedded import manifest as manifests
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.copying import copy_tree
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder, disk_bytes
from mcp_memory.storage.qdrant_embedded.lock import FolderLock, holder
from mcp_memory.storage.qdrant_embedded.manifest import Kept, Manifest, Model
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_embedded.space import OPENING_BYTES, free_bytes, places_for_a_copy
from mcp_memory.storage.succession import NEW_COLLECTION, StoredCollection, new_name, new_prefix
from mcp_memory.system.records import is_folder


class EmbeddedSuccession:
    """See storage.succession. `take_over`, `roll_back` and `delete` need the folder without an engine in it."""

    shared = False

    def __init__(self, options: EmbeddedOptions) -> None:
        """The model in `options` plays no part."""
        self._options = options
        self._folder = StorageFolder(options.path)

    @property
    def address(self) -> str:
        return str(self._options.path.absolute())

    @property
    def name(self) -> str:
        return self._options.collection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Nothing is held between two steps."""

    async def present(self) -> StoredCollection:
        manifest = self._manifest()
        return StoredCollection(self.name, _identity(manifest.model), str(manifest.generation))

    async def stored_model(self) -> ModelIdentity:
        return _identity(self._manifest().model)

    async def unfinished(self) -> Sequence[StoredCollection]:
        arriving = (self._manifest().arriving or "").split("/")[0]
        found = []
        for path in sorted(self._folder.path.glob(f"{new_prefix(self.name)}*")):
            ours = path.name != arriving and NEW_COLLECTION.fullmatch(path.name) and is_folder(path)
            manifest = StorageFolder(path).look() if ours else None
            if manifest is not None:
                found.append(StoredCollection(path.name, _identity(manifest.model), path.name))
        return found

    async def backups(self) -> Sequence[StoredCollection]:
        kept = self._manifest().kept.items()
        found = [StoredCollection(name, _identity(item.model), str(item.generation)) for name, item in kept]
        return sorted(found, key=lambda item: item.name.rsplit("_", 1)[-1])

    async def begin(self, model: ModelIdentity, *, memories: int) -> StoredCollection:
        del memories  # an embedded store's graph follows its size
        name = new_name(self.name, model)
        collection = StoredCollection(name, model, name)
        if all(one.name != name for one in await self.unfinished()):
            (self._folder.path / name).mkdir(mode=0o700, exist_ok=True)
            storage = self.storage(collection)
            await storage.initialize()
            await storage.close()
        return collection

    def storage(self, collection: StoredCollection) -> BaseStorage:
        path, name = self._folder.path, self._manifest().collection
        if collection.place == collection.name:
            path, name = self._unfinished(collection.place), self.name
        return QdrantEmbeddedStorage(replace(self._options, path=path, model=collection.model, collection=name))

    @asynccontextmanager
    async def reading(self, collection: StoredCollection) -> AsyncIterator[BaseStorage]:
        """A backup is read from a copy: an engine writes while it opens a shard, and the folder's own serves another one."""
        kept = self._manifest().kept.get(collection.name)
        if kept is None:
            storage = self.storage(collection)
            async with opened(storage):
                yield storage
            return
        shard = self._folder.generation(kept.generation)
        needed = 2 * disk_bytes(shard) + 2 * OPENING_BYTES
        place: Path | None = Path(tempfile.gettempdir())
        if free_bytes(Path(tempfile.gettempdir())) < needed:
            place = next(places_for_a_copy(self._folder.path, needed), None)
        if place is None:
            raise StorageFullError(f"There is no space for a copy of {collection.name}, which it is read from.")
        with tempfile.TemporaryDirectory(prefix="mcp-memory-backup-", dir=place, ignore_cleanup_errors=True) as copy:
            folder = StorageFolder(Path(copy))
            folder.generations.mkdir(mode=0o700)
            await asyncio.to_thread(copy_tree, shard, folder.generation(1))
            described = Manifest(self.name, kept.model, 1, kept.quantization, graph=kept.graph, terms=kept.terms)
            manifests.write(folder.path, described)
            options = replace(self._options, path=folder.path, model=collection.model, disk_reserve_bytes=0)
            storage = QdrantEmbeddedStorage(options)
            async with opened(storage):
                yield storage

    async def take_over(self, new: StoredCollection, *, backup: str) -> StoredCollection:
        with self._locked():
            manifest = self._manifest()
            if manifest.model.fingerprint != new.model.fingerprint:
                staged = StorageFolder(self._unfinished(new.place))
                inner = manifests.read(staged.path)
                number = max(int(time.time()), *(item + 1 for item in manifest.generations))
                coming = Kept(number, inner.model, inner.quantization, inner.graph, inner.terms)
                shard = staged.generation(inner.generation).relative_to(self._folder.path).as_posix()
                manifest = self._serve(manifest, coming, keep_as=backup, arriving=shard)
            self._folder.receive(manifest)
            before = manifest.kept[backup]
        return StoredCollection(backup, _identity(before.model), str(before.generation))

    async def roll_back(self, backup: StoredCollection, *, keep_as: str) -> StoredCollection:
        with self._locked():
            manifest = self._manifest()
            self._folder.receive(manifest)
            before = StoredCollection(keep_as, _identity(manifest.model), str(manifest.generation))
            kept = {name: item for name, item in manifest.kept.items() if name != backup.name}
            without = msgspec.structs.replace(manifest, kept=kept)
            self._serve(without, manifest.kept[backup.name], keep_as=keep_as)
        return before

    async def delete(self, collection: StoredCollection) -> None:
        if collection.place == collection.name:
            shutil.rmtree(self._unfinished(collection.place))
            return
        with self._locked():
            manifest = self._manifest()
            if collection.place == str(manifest.generation):
                raise StorageError(f"'{collection.name}' is the collection that answers: it isn't deleted.")
            kept = {name: item for name, item in manifest.kept.items() if name != collection.name}
            manifests.write(self._folder.path, msgspec.structs.replace(manifest, kept=kept))
            if collection.place in {str(item.generation) for item in manifest.kept.values()}:
                shutil.rmtree(self._folder.generation(int(collection.place)), ignore_errors=True)

    def _unfinished(self, place: str) -> Path:
        """The folder of a collection that never took over. Raises StorageFormatError for a name that `begin` never gives."""
        path = self._folder.path / place
        if NEW_COLLECTION.fullmatch(place) is None or not is_folder(path):
            raise StorageFormatError(
                f"{place!r} is no collection of a model change in {self._folder.path}: nothing was touched.\n"
                "If a checkpoint names it, start again without --resume."
            )
        return path

    # The manifest

    def _manifest(self) -> Manifest:
        found = self._folder.look()
        if found is None:
            raise NothingStoredError(f"There is no memory store in {self._folder.path}.")
        return found

    def _serve(self, manifest: Manifest, coming: Kept, *, keep_as: str, arriving: str | None = None) -> Manifest:
        """The one step that counts: `coming` serves, and what did is kept. The manifest as it is now."""
        present = Kept(manifest.generation, manifest.model, manifest.quantization, manifest.graph, manifest.terms)
        changed = msgspec.structs.replace(
            manifest,
            generation=coming.generation,
            model=coming.model,
            quantization=coming.quantization,
            graph=coming.graph,
            terms=coming.terms,
            kept=manifest.kept | {keep_as: present},
            arriving=arriving,
        )
        manifests.write(self._folder.path, changed)
        return changed

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The folder's lock: no engine runs, and none starts. Raises StorageLockedError."""
        lock = FolderLock.acquire(self._folder.lock)
        if lock is None:
            raise StorageLockedError(
                f"The storage folder {self._folder.path} is in use by process {holder(self._folder.lock)}."
            )
        try:
            yield
        finally:
            lock.let_go()


def _identity(model: Model) -> ModelIdentity:
    return ModelIdentity(model.name, model.dimensions, model.fingerprint)
