"""One collection taking another's place: what a change of the embedding model asks of a backend.

A Succession knows the collection that answers now, builds another beside it, lets that take over, and keeps the one before as a
backup. It embeds nothing and compares nothing: that is migration/model_change.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from mcp_memory.domain.errors import StorageError
from mcp_memory.domain.memory import EmbeddedMemory
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.storage.base import BaseStorage

_NAME = r"[A-Za-z0-9_-]{1,128}"
NEW_COLLECTION = re.compile(rf"{_NAME}_new_[0-9a-f]{{1,8}}")
"""`new_name`."""
BACKUP_COLLECTION = re.compile(rf"{_NAME}_backup_[A-Za-z0-9.-]{{1,200}}_[0-9]{{8}}T[0-9]{{6}}Z")
"""`backup_name`."""
PLACE = re.compile(r"[A-Za-z0-9_.-]{0,253}[A-Za-z0-9_-]")
"""A folder below a store, or a physical collection: one name, of which no path can be made."""


@dataclass(frozen=True, slots=True)
class StoredCollection:
    """A collection under the name that people use for it: `memories`, `memories_new_...`, `memories_backup_...`."""

    name: str
    model: ModelIdentity
    place: str
    """Where it is kept: the physical collection's name, or a generation's number."""


class Succession(Protocol):
    """Collections behind one name. A context manager; every step may be taken again, which changes nothing then."""

    @property
    def address(self) -> str:
        """The store, for messages and checkpoints: an absolute path, or a URL without credentials."""

    @property
    def name(self) -> str:
        """`memories`: what services name."""

    @property
    def shared(self) -> bool:
        """Whether others may write at the moment of taking over: then what they wrote is caught up once more afterwards."""

    async def __aenter__(self) -> Succession: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def present(self) -> StoredCollection:
        """The collection that answers. Raises StorageError where there is none, or it can't have a successor."""

    async def stored_model(self) -> ModelIdentity:
        """Of the memories that are there, also where the collection can't have a successor. Raises StorageError."""

    async def unfinished(self) -> Sequence[StoredCollection]:
        """Collections that were begun and never took over."""

    async def backups(self) -> Sequence[StoredCollection]:
        """Collections that answered before, oldest first."""

    async def begin(self, model: ModelIdentity, *, memories: int) -> StoredCollection:
        """The collection `<name>_new_<hash8>`, made where it isn't there; `memories`: how many it will hold."""

    def storage(self, collection: StoredCollection) -> BaseStorage:
        """A collection as a storage, not opened. Opening it creates nothing, and changes none of its settings."""

    def reading(self, collection: StoredCollection) -> AbstractAsyncContextManager[BaseStorage]:
        """Any of them for reading, open, backups too. Raises StorageFullError where that takes space that isn't there."""

    async def take_over(self, new: StoredCollection, *, backup: str) -> StoredCollection:
        """`new` answers from here on, and the one before is `backup`. At any crash exactly one of the two answers.

        Returns the one before.
        """

    async def roll_back(self, backup: StoredCollection, *, keep_as: str) -> StoredCollection:
        """A backup answers again, and the collection that did is kept under that name; returned."""

    async def delete(self, collection: StoredCollection) -> None:
        """Delete a backup, or a collection that never took over, with its memories. Never the one that answers."""


@runtime_checkable
class SupportsConditionalWrites(Protocol):
    """A succession whose services may write while it takes over: changes that are made only where nobody was quicker."""

    async def replace_unchanged(
        self, collection: StoredCollection, items: Sequence[EmbeddedMemory], revisions: Mapping[str, int]
    ) -> None:
        """Overwrite each memory that still has the revision given for its point; one that is gone stays gone."""

    async def delete_unchanged(self, collection: StoredCollection, revisions: Mapping[str, int]) -> None:
        """Delete each of these points that still has the revision given."""


def new_prefix(name: str) -> str:
    return f"{name}_new_"


def backup_prefix(name: str) -> str:
    return f"{name}_backup_"


def new_name(name: str, model: ModelIdentity) -> str:
    return f"{new_prefix(name)}{model.hash8}"


def backup_name(name: str, model: ModelIdentity, now: datetime) -> str:
    """As the guide shows it, to the second: `memories_backup_all-MiniLM-L6-v2_20250116T113005Z`."""
    return f"{backup_beginning(name, model)}{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def backup_beginning(name: str, model: ModelIdentity) -> str:
    """Of `backup_name`, before the time."""
    slug = re.sub(r"[^A-Za-z0-9.-]+", "-", model.name.rsplit("/", 1)[-1]).strip("-.") or model.hash8
    return f"{backup_prefix(name)}{slug}_"


def find_backup(wanted: str, backups: Sequence[StoredCollection], address: str) -> StoredCollection:
    """The backup of that name, or the only one whose name begins so. Raises StorageError that lists what is there."""
    exact = [backup for backup in backups if backup.name == wanted]
    found = exact or [backup for backup in backups if backup.name.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    listed = "\n".join(
        f"  {backup.name}  ({backup.model.name}, {backup.model.dimensions} dimensions)" for backup in backups
    )
    what = "Several backups' names begin with" if found else "There is no backup"
    there = f"Backups in {address}:\n{listed}" if backups else f"There are no backups in {address}."
    raise StorageError(f"{what} '{wanted}'. {there}")
