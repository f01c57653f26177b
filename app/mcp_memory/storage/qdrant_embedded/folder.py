"""The layout of a storage folder, and what a folder that is found may be.

manifest.json      what the folder holds (manifest.py)
generations/<n>/   the shard; one is current, others are being built or left over
creating           there while the first generation is made; a crash then begins again
engine.lock        held by the engine process; its pid
engine.sock        where the engine listens (0600)
engine.json        where it listens otherwise
engine.log         what it writes to stderr
engine.reserve     space set aside while the disk still had some: what opening and deleting take when it is full
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcp_memory.domain.errors import StorageError, StorageFormatError
from mcp_memory.storage.qdrant_embedded import manifest
from mcp_memory.storage.qdrant_embedded.manifest import GENERATION, Manifest
from mcp_memory.storage.succession import NEW_COLLECTION
from mcp_memory.system.owners import refuse_other_users
from mcp_memory.system.records import first_link, is_folder, strange_entries

log = logging.getLogger(__name__)

_INCIDENTAL = frozenset(
    {"lost+found", ".DS_Store", "Thumbs.db", "desktop.ini", "maintenance.json", "manifest.json.new", "creating.new"}
    | {f"engine.{end}" for end in ("lock", "start", "sock", "json", "json.new", "log", "log.1", "reserve")}
    | {f"owner.{end}" for end in ("lock", "start", "sock", "json", "log", "log.1")}
)
"""Files that make nobody's data, and `owner.*.tmp`, which a crash leaves: a folder that holds nothing else is an empty store."""
_LEFT_BY_A_CRASH = re.compile(r"owner\.[^/]*\.tmp")
_PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class StorageFolder:
    """Names in one storage folder."""

    path: Path

    @property
    def lock(self) -> Path:
        return self.path / "engine.lock"

    @property
    def start(self) -> Path:
        return self.path / "engine.start"

    @property
    def socket(self) -> Path:
        return self.path / "engine.sock"

    @property
    def address(self) -> Path:
        """Names the socket where it isn't `engine.sock`: a path in the runtime folder, or a port and a token."""
        return self.path / "engine.json"

    @property
    def log(self) -> Path:
        return self.path / "engine.log"

    @property
    def reserve(self) -> Path:
        """Space set aside for opening and deleting on a full disk (space.set_aside)."""
        return self.path / "engine.reserve"

    @property
    def creating(self) -> Path:
        return self.path / "creating"

    @property
    def generations(self) -> Path:
        return self.path / "generations"

    def generation(self, number: int) -> Path:
        return self.generations / str(number)

    def prepare(self) -> None:
        """Make the folder (0700) or tighten a wider one, saying so. Raises StorageError where that isn't allowed,
        ConfigurationError where it is another user's."""
        refuse_other_users(self.path)
        try:
            self.path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            mode = stat.S_IMODE(self.path.stat().st_mode)
            if os.name == "posix" and mode != _PRIVATE:
                self.path.chmod(_PRIVATE)
                log.warning("storage folder %s had mode %04o: tightened to 0700", self.path, mode)
        except OSError as error:
            raise StorageError(
                f"Can't use the storage folder {self.path}: {error.strerror}.\n"
                "Set MCP_QDRANT_STORAGE_PATH to a folder that you may write to."
            ) from error

    def look(self) -> Manifest | None:
        """The manifest of a store, or None for a folder that has never held one. Changes nothing.

        Raises StorageFormatError for everything else: a foreign folder, a damaged or newer one, one without its shard.
        """
        try:
            names = {entry.name for entry in self.path.iterdir()}
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageFormatError(
                f"Can't read the storage folder {self.path}: {error.strerror}.\nCheck its owner and mode: ls -ld {self.path}"
            ) from error
        if manifest.NAME in names:
            self._check_places(())
            found = manifest.read(self.path)
            self._check_shard(found)
            return found
        if self.creating.name in names:
            return None
        if "generations" in names:
            raise StorageFormatError(
                f"The storage folder {self.path} has lost its {manifest.NAME}; its data in generations/ was left as it is.\n"
                f"Restore {manifest.NAME} from a backup, or move the folder away: mv {self.path} {self.path}.damaged"
            )
        self._refuse(names)
        return None

    def refuse_foreign(self) -> None:
        """Raises StorageFormatError for a folder of somebody else, where nothing may be written, not even a lock.

        One of ours passes, however damaged: its owner's files are already there, and a restore puts it right.
        """
        if self.ours:
            return
        try:
            self._refuse({entry.name for entry in self.path.iterdir()})
        except OSError:
            return  # not there, or not readable: whoever uses it says so

    @property
    def ours(self) -> bool:
        """Whether a store of ours was here, in whichever state: a manifest of this product, generations, a first one begun."""
        if manifest.is_ours(self.path) or self.creating.is_file():
            return True
        try:
            return is_folder(self.generations) and all(
                GENERATION.fullmatch(entry.name) for entry in self.generations.iterdir()
            )
        except OSError:
            return False

    def _refuse(self, names: set[str]) -> None:
        foreign = sorted(name for name in names if name not in _INCIDENTAL and not _LEFT_BY_A_CRASH.fullmatch(name))
        if foreign:
            raise StorageFormatError(
                f"The folder {self.path} holds {_kind(set(foreign), foreign)}. It was left as it is.\n"
                + self._remedy(set(foreign))
            )

    def _remedy(self, names: set[str]) -> str:
        if {"meta.json", "collection"} <= names:
            new = self.path.with_name(f"{self.path.name}-embedded")
            return (
                "To bring its memories into a store of this service and use that one:\n"
                f"  memory migrate sqlite --source '{self.path}' --target '{new}'\n"
                f"  export MCP_QDRANT_STORAGE_PATH='{new}'"
            )
        return "Set MCP_QDRANT_STORAGE_PATH to an empty folder or to one of this service."

    def _check_places(self, parts: tuple[str, ...]) -> None:
        """Raises StorageFormatError where `generations`, or a part of the way given, is a link: nothing is done through one."""
        link = first_link(self.path, ("generations",)) or first_link(self.path, parts)
        if link is not None:
            raise StorageFormatError(
                f"{link} is a symbolic link, which a store of this service doesn't hold. Nothing was changed.\n"
                "Put what it points to in its place, or restore the folder from a backup. To keep a store on another disk, move "
                "the whole folder and set MCP_QDRANT_STORAGE_PATH."
            )

    def _check_shard(self, found: Manifest) -> None:
        shard = self.generation(found.generation)
        if found.arriving is not None and not shard.exists():
            shard = self.path / found.arriving
        for part in ("segments", "edge_config.json", "wal"):
            self._check_places((*shard.relative_to(self.path).parts, part))
        missing = [str(part) for part in (shard, shard / "edge_config.json", shard / "segments") if not part.exists()]
        if missing:
            raise StorageFormatError(
                f"The storage folder {self.path} once held the collection '{found.collection}', but {missing[0]} is missing. "
                "Nothing was changed.\n"
                f"Restore it from a backup, or move the folder away to begin an empty one: mv {self.path} {self.path}.damaged"
            )

    def receive(self, found: Manifest) -> None:
        """Finish what a model change began: move the shard that serves to its place. Only for the holder of the lock."""
        if found.arriving is None:
            return
        parts = Path(found.arriving).parts
        self._check_places(parts)
        if NEW_COLLECTION.fullmatch(parts[0]) is None:  # `manifest.read` has looked; this is where it would be deleted
            raise StorageFormatError(f"{parts[0]!r} is no folder of a model change: nothing was moved or deleted.")
        built, place = self.path / found.arriving, self.generation(found.generation)
        if not place.exists():
            built.rename(place)
            manifest.sync_folder(self.generations)
        shutil.rmtree(self.path / parts[0], ignore_errors=True)

    def remove_leftovers(self, wanted: set[int]) -> None:
        """Delete all other generations: a build that was cut off, or what a switch left. Other things stay."""
        self._check_places(())
        if not is_folder(self.generations):
            return
        names = set(map(str, wanted))
        for entry in self.generations.iterdir():
            if entry.name not in names and GENERATION.fullmatch(entry.name) and is_folder(entry):
                shutil.rmtree(entry, ignore_errors=True)

    def tighten_files(self) -> None:
        """Files 0600 and folders 0700 throughout: an archive unpacked or a copy made under another umask is put right.

        Raises StorageFormatError for what an archive of somebody else's could hold: links, whose target would be changed, and
        files that have another name elsewhere.
        """
        if os.name != "posix":
            return
        strange = next(strange_entries(self.generations), None)
        if strange is not None:
            raise _not_ours(strange, "neither a file nor a folder")
        for path in (self.generations, *self.generations.rglob("*")):
            status = path.lstat()
            folder = stat.S_ISDIR(status.st_mode)
            if not stat.S_IMODE(status.st_mode) & 0o077:
                continue
            if not folder and status.st_nlink > 1:
                raise _not_ours(path, "open to other users and has another name elsewhere (a hard link)")
            path.chmod(_PRIVATE if folder else 0o600)

    def size(self, number: int) -> int:
        """Bytes that a generation takes on disk (blocks, not lengths: many files are sparse)."""
        return disk_bytes(self.generation(number))


def _not_ours(path: Path, what: str) -> StorageFormatError:
    return StorageFormatError(
        f"{path} is {what}, which a store of this service doesn't hold. Nothing was changed.\n"
        "If the folder came from an archive, restore it from a backup; if you made copies by hard links, copy the files:  cp -a"
    )


def disk_bytes(folder: Path) -> int:
    return sum(_blocks(folder))


def _blocks(folder: Path) -> Iterator[int]:
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(root, name))  # noqa: PTH118  (thousands of files)
            except FileNotFoundError:
                continue  # the engine replaces files while we look
            yield getattr(status, "st_blocks", status.st_size // 512) * 512


def _kind(names: set[str], listed: list[str]) -> str:
    if {"meta.json", "collection"} <= names:
        return "a collection of qdrant-client's local mode (meta.json, collection/)"
    if "collections" in names or "raft_state.json" in names:
        return "the storage of a Qdrant server (collections/)"
    if {"segments", "edge_config.json"} & names:
        return "a bare qdrant-edge shard (segments/)"
    if any(name.endswith(".db") for name in names):
        return f"a database of something else ({', '.join(listed[:3])})"
    return f"files that aren't a memory store ({', '.join(listed[:3])}{', ...' if len(listed) > 3 else ''})"
