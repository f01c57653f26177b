"""Backups of an embedded store: the shard's files copied while no engine holds them, each with its checksum.

A backup is a folder: `backup.json` (what, of which model, how many, the checksum of every file) and `store/`, which is a storage
folder by itself. Copying blocks, for as long as the disk takes. `back_up` wants files that stand still: no engine, or one that
holds its writes back (`QdrantEmbeddedStorage.paused`). `restore` is for the holder of the folder's lock (owner.exclusive).
"""

from __future__ import annotations

import errno
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from mcp_memory.domain.errors import ModelChangedError, StorageError, StorageFormatError, StorageFullError
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.storage.base import BackupReport
from mcp_memory.storage.qdrant_embedded import manifest as manifests
from mcp_memory.storage.qdrant_embedded.copying import checksum_of, copy_tree
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder
from mcp_memory.storage.qdrant_embedded.manifest import Manifest, Model
from mcp_memory.storage.qdrant_embedded.space import check_space
from mcp_memory.system.records import first_link, read_record, strange_entries

NAME: Final = "backup.json"
STORE: Final = "store"
KIND: Final = "embedded"
_OF_A_SERVER: Final = (
    "It is one of a Qdrant server: set MCP_QDRANT_URL and restore it there.\n"
    "Then 'memory migrate storage' moves memories between stores."
)
_PRIVATE: Final = 0o700
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Contents(msgspec.Struct, frozen=True):
    """backup.json."""

    model: Model
    collection: str
    memories: int
    created_at: str
    sha256: dict[str, str]
    """Of each file, by its path below the backup."""
    kind: str = KIND
    product: str = manifests.PRODUCT


def check_store(path: Path) -> Manifest:
    """What serves in the store at `path`. Raises StorageFormatError where there is none."""
    found = StorageFolder(path).look()
    if found is None:
        raise StorageFormatError(f"There is no store in {path} to back up.")
    return found


def back_up(path: Path, into: Path, *, memories: int) -> BackupReport:
    """Copy the store at `path`, which holds so many memories, into the folder `into`, which must not be there or be empty.

    Collections that a change of model has left beside the one that serves stay behind.

    Raises StorageError for a folder that is taken, StorageFormatError for a store that isn't whole, StorageFullError; what was
    written of the backup is then deleted.
    """
    source = StorageFolder(path)
    found = check_store(path)
    if not source.generation(found.generation).is_dir():  # one that arrives: no engine has opened it yet
        raise StorageFormatError(f"There is no store in {path} to back up.")
    check_free(into)
    check_room(path, into)
    made = not into.exists()
    try:
        into.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        target = StorageFolder(into / STORE)
        target.prepare()
        target.generations.mkdir(mode=_PRIVATE)
        sums = copy_tree(source.generation(found.generation), target.generation(found.generation))
        manifests.write(target.path, msgspec.structs.replace(found, kept={}, arriving=None))
        sums[target.path / manifests.NAME] = checksum_of(target.path / manifests.NAME)
        contents = Contents(
            found.model,
            found.collection,
            memories,
            datetime.now(UTC).isoformat(timespec="seconds"),
            {file.relative_to(into).as_posix(): checksum for file, checksum in sums.items()},
        )
        manifests.replace_file(into / NAME, msgspec.json.format(msgspec.json.encode(contents), indent=2) + b"\n")
    except (OSError, StorageFormatError) as error:
        shutil.rmtree(into if made else into / STORE, ignore_errors=True)
        raise _failed(error, f"the backup to {into}") from error
    return BackupReport(folder=into, memories=memories, bytes=target.size(found.generation))


def check_free(into: Path) -> None:
    """Raises StorageError where a backup can't be written because something is there."""
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise StorageError(f"{into} is taken: there is something in it. Name a new folder for the backup.")


def check_room(path: Path, into: Path) -> None:
    """Raises StorageFullError where the store at `path` doesn't fit beside `into`, StorageError where that is inside it."""
    if into.is_relative_to(path):
        raise StorageError(f"{into} lies in the store itself. Name a folder elsewhere for the backup.")
    found = check_store(path)
    nearest = next(folder for folder in (into, *into.parents) if folder.exists())
    check_space(nearest, StorageFolder(path).size(found.generation), f"a backup of {path}")


def check(folder: Path, model: ModelIdentity) -> Contents:
    """What a backup holds, after every checksum in it has been compared.

    Raises StorageFormatError for one that is damaged or isn't one, ModelChangedError for one of another model.
    """
    try:
        contents = msgspec.json.decode(read_record(folder / NAME), type=Contents)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        hint = f"\n{_OF_A_SERVER}" if (folder / "collection.snapshot").exists() else ""
        raise StorageFormatError(f"{folder} isn't a backup of an embedded store: {error}{hint}") from error
    if (contents.product, contents.kind) != (manifests.PRODUCT, KIND):
        raise StorageFormatError(f"{folder / NAME} isn't of a backup of an embedded store of this service.")
    if (contents.model.fingerprint, contents.model.dimensions) != (model.fingerprint, model.dimensions):
        raise ModelChangedError(
            old_model=contents.model.name,
            new_model=model.name,
            old_dimensions=contents.model.dimensions,
            new_dimensions=model.dimensions,
            old_fingerprint=contents.model.fingerprint,
        )
    if contents.memories < 0:
        raise StorageFormatError(f"The backup {folder} is damaged: {NAME} counts {contents.memories} memories.")
    stored = None if first_link(folder, (STORE,)) else StorageFolder(folder / STORE).look()
    if stored is None:
        raise StorageFormatError(f"The backup {folder} is damaged: there is no store in {folder / STORE}.")
    _check_names(folder, contents, stored)
    for name, checksum in contents.sha256.items():
        if checksum_of(folder / name) != checksum:
            raise _damaged(folder, name)
    return contents


def _check_names(folder: Path, contents: Contents, stored: Manifest) -> None:
    """The list names what `back_up` writes, all of it and nothing else: not one name leads out of the backup.

    Raises StorageFormatError.
    """
    strange = next(strange_entries(folder / STORE), None)
    if strange is not None:
        raise StorageFormatError(
            f"The backup {folder} is damaged: {strange.relative_to(folder)} is neither a file nor a folder."
        )
    shard = StorageFolder(folder / STORE).generation(stored.generation)
    written = {file.relative_to(folder).as_posix() for file in shard.rglob("*") if file.is_file()}
    written.add(f"{STORE}/{manifests.NAME}")
    differing = min(written ^ contents.sha256.keys(), default=None)
    if differing is not None:
        listed = differing in contents.sha256
        raise StorageFormatError(
            f"The backup {folder} is damaged: {NAME} names {differing!r}, which isn't a file of its store."
            if listed
            else f"The backup {folder} is damaged: {differing} isn't in the list in {NAME}."
        )
    wrong = next((name for name, checksum in contents.sha256.items() if not _SHA256.fullmatch(checksum)), None)
    if wrong is not None:
        raise _damaged(folder, wrong)


def restore(folder: Path, path: Path, contents: Contents, *, collection: str) -> tuple[BackupReport, Path | None]:
    """Make the memories of a backup that `check` has passed those of the store at `path`, under the name `collection`.

    Whole, or not at all. What was there becomes a store of its own in a folder below, which is the second answer; None where
    nothing was. Raises StorageFormatError for a folder of something else or a backup damaged meanwhile, and StorageFullError;
    nothing was changed then.
    """
    source, target = StorageFolder(folder / STORE), StorageFolder(path)
    stored = manifests.read(source.path)
    before = _present(target)
    others = _generations(target)
    number = max(int(time.time()), *(given + 1 for given in others), 1)
    try:
        target.prepare()
        target.generations.mkdir(mode=_PRIVATE, exist_ok=True)
        if before is None:
            manifests.replace_file(target.creating, b"")  # a crash before the end begins again, with nothing
        shard = target.generation(number)
        for file, checksum in copy_tree(source.generation(stored.generation), shard).items():
            name = f"{STORE}/generations/{stored.generation}/{file.relative_to(shard).as_posix()}"
            if contents.sha256.get(name) != checksum:
                raise _damaged(folder, name)
        manifests.sync_folder(target.generations)
        manifests.write(path, _restored(stored, number, collection))
        target.creating.unlink(missing_ok=True)
    except (OSError, StorageFormatError) as error:
        shutil.rmtree(target.generation(number), ignore_errors=True)
        raise _failed(error, f"restoring {folder}") from error
    kept = _set_aside(target, before, others) if before is not None or others else None
    return BackupReport(folder=folder, memories=contents.memories, bytes=target.size(number)), kept


def _restored(stored: Manifest, generation: int, collection: str) -> Manifest:
    """The manifest of what was copied: the one shard. What else was under way or kept where it came from didn't come along."""
    return msgspec.structs.replace(
        stored, generation=generation, collection=collection, aliases={}, kept={}, arriving=None
    )


def _present(target: StorageFolder) -> bytes | None:
    """The manifest of what is to be replaced, as it is. Raises StorageFormatError for a folder of something else."""
    target.refuse_foreign()  # one that is ours, and damaged, is what a restore is for
    link = first_link(target.path, (target.generations.name,))
    if link is not None:
        raise StorageFormatError(
            f"{link} is a symbolic link: nothing is restored through it.\nMove it away:  mv {link} {link}.was"
        )
    try:
        return read_record(target.path / manifests.NAME)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageFormatError(
            f"Can't read {target.path / manifests.NAME}: {error.strerror}. Nothing was changed."
        ) from error


def _set_aside(target: StorageFolder, before: bytes | None, generations: list[int]) -> Path:
    """What was there, moved into a folder that can be used as a store where it was whole."""
    kept = StorageFolder(target.path / f"before-restore-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%f')}")
    kept.prepare()
    kept.generations.mkdir(mode=_PRIVATE)
    for number in generations:
        target.generation(number).rename(kept.generation(number))
    if before is not None:
        manifests.replace_file(kept.path / manifests.NAME, before)
    return kept.path


def _generations(target: StorageFolder) -> list[int]:
    if not target.generations.is_dir():
        return []
    return [int(entry.name) for entry in target.generations.iterdir() if manifests.GENERATION.fullmatch(entry.name)]


def _damaged(folder: Path, name: str) -> StorageFormatError:
    return StorageFormatError(f"The backup {folder} is damaged: {name} doesn't have the checksum in {NAME}.")


def _failed(error: OSError | StorageFormatError, what: str) -> StorageError:
    if isinstance(error, StorageFormatError):
        return error
    if error.errno in _NO_SPACE:
        return StorageFullError(f"No space left on device: {what} failed; nothing was changed.\nFree some space: df -h")
    return StorageError(f"{what[:1].upper()}{what[1:]} failed: {error}")
