"""How far a migration has come, in a file that is never ahead of what the target has made durable.

The first six fields are the user guide's; the others are what a safe resume needs: which source, which target, where in the
source.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from mcp_memory.migration.errors import MigrationRefusedError
from mcp_memory.migration.files import replace_durably
from mcp_memory.migration.sources.base import Cursor, Fingerprint, SourceReport
from mcp_memory.storage.succession import BACKUP_COLLECTION, NEW_COLLECTION, PLACE
from mcp_memory.system.records import read_record

VERSION = 1
_CHECKPOINT_BYTES = 256 * 1024 * 1024
"""It names every memory that failed."""


@dataclass(frozen=True, slots=True)
class SourceMark:
    """Which source, in which state."""

    path: str
    kind: str
    fingerprint: Fingerprint | None

    @classmethod
    def of(cls, report: SourceReport) -> SourceMark:
        path = report.path if isinstance(report.path, str) else str(report.path.absolute())
        return cls(path, report.kind.value, report.fingerprint)


@dataclass(frozen=True, slots=True)
class TargetMark:
    """Which target: its address, and the model whose vectors it takes."""

    address: str
    model: str
    model_fingerprint: str
    dimensions: int


class Phase(StrEnum):
    """Of a model change, in order."""

    FILLING = "filling"
    """The old collection answers; the new one is made equal to it."""
    TAKING_OVER = "taking over"
    """From here on the new one may be the one that answers: look."""
    SETTLING = "settling"
    """The new one answers; what reached the old one at the last moment is brought over."""
    DONE = "done"


@dataclass(slots=True)
class ModelChangeMark:
    """What a model change that was cut off must know to go on."""

    old_model: str
    old_fingerprint: str
    new_collection: str
    new_place: str = ""
    backup: str = ""
    phase: Phase = Phase.FILLING


@dataclass(slots=True)
class Checkpoint:
    """Written after batches; see `save`."""

    source: SourceMark
    target: TargetMark
    total_memories: int
    started_at: str
    migrated_count: int = 0
    failed_hashes: list[str] = field(default_factory=list)
    last_successful_hash: str | None = None
    last_updated_at: str = ""
    cursor: Cursor | None = None
    """Everything up to this place of the source is stored, failed by name, or can't be read."""
    existed_count: int = 0
    """Of the migrated ones, those that the target held already."""
    unreadable_count: int = 0
    reembedded_count: int = 0
    verified_count: int = 0
    reembed: bool = False
    merge: bool = False
    completed: bool = False
    caught_up_count: int = 0
    """Written to the source while a model change ran, and brought over."""
    model_change: ModelChangeMark | None = None
    source_revision: int | None = None
    """The latest revision in the source when a copy of it began; None where the source has no revisions."""
    notes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def begin(cls, source: SourceMark, target: TargetMark, total: int, *, reembed: bool, merge: bool) -> Checkpoint:
        now = timestamp()
        return cls(source, target, total, now, last_updated_at=now, reembed=reembed, merge=merge)

    @property
    def done(self) -> int:
        """Memories that need nothing more in this run: migrated, failed, unreadable."""
        return self.migrated_count + len(self.failed_hashes) + self.unreadable_count

    def count_notes(self, notes: Iterable[str]) -> None:
        for note in notes:
            self.notes[note] = self.notes.get(note, 0) + 1

    def save(self, path: Path) -> None:
        """Replace the file atomically; it is on disk when this returns. Raises OSError."""
        self.last_updated_at = timestamp()
        fields = asdict(self)
        guide = (
            "total_memories",
            "migrated_count",
            "failed_hashes",
            "last_successful_hash",
            "started_at",
            "last_updated_at",
        )
        document = {name: fields.pop(name) for name in guide} | {"version": VERSION} | fields
        replace_durably(path, json.dumps(document, indent=2).encode() + b"\n")

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Raises MigrationRefusedError for a file that is missing, unreadable, or of a newer version."""
        try:
            fields: dict[str, Any] = json.loads(read_record(path, limit=_CHECKPOINT_BYTES))
        except FileNotFoundError:
            raise MigrationRefusedError(
                f"There is no checkpoint at {path}. Name the one that the interrupted run wrote (--checkpoint), or start "
                "without --resume."
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise MigrationRefusedError(
                f"The checkpoint {path} can't be read ({error}). Start again without --resume and with --merge: what is in the "
                "target already is recognised."
            ) from error
        version = fields.get("version") if isinstance(fields, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise MigrationRefusedError(
                f"The checkpoint {path} was written by a newer version of this program (format {version}, this one knows "
                f"{VERSION}). Resume with that version."
            )
        try:
            fields.pop("version")
            seen = fields["source"]["fingerprint"]
            fields["source"] = SourceMark(
                **{**fields["source"], "fingerprint": None if seen is None else Fingerprint(**seen)}
            )
            fields["target"] = TargetMark(**fields["target"])
            change = fields.get("model_change")
            if change is not None:
                fields["model_change"] = ModelChangeMark(**{**change, "phase": Phase(change["phase"])})
            checkpoint = cls(**fields)
            checkpoint._check_forms()
            return checkpoint
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MigrationRefusedError(
                f"The checkpoint {path} lacks what a safe resume needs ({error}). Start again without --resume and with --merge: "
                "what is in the target already is recognised."
            ) from error

    def _check_forms(self) -> None:
        """Raises ValueError where a field holds what no run writes: names in it become collections and folders."""
        # msgspec converts by the declared types, strictly: a text isn't taken for a number, nor the other way round.
        msgspec.convert(asdict(self), type(self))
        change = self.model_change
        if change is None:
            return
        for name, form in (("new_collection", NEW_COLLECTION), ("new_place", PLACE), ("backup", BACKUP_COLLECTION)):
            value = getattr(change, name)
            if value and form.fullmatch(value) is None:
                raise ValueError(f"{name} is {value!r}")

    def check(self, path: Path, source: SourceMark, target: TargetMark) -> None:
        """Raises MigrationRefusedError unless this is a checkpoint of that source, unchanged, and that target."""
        live = source.fingerprint is None
        if self.source != source if live else self.source.fingerprint != source.fingerprint:
            if live or os.path.realpath(self.source.path) != os.path.realpath(source.path):
                why = f"belongs to another source, {self.source.path}"
            else:
                why = f"was written before {source.path} changed; the service that writes to it must be stopped"
            raise MigrationRefusedError(
                f"The checkpoint {path} {why}.\nStart again without --resume and with --merge: what is in the target already "
                "is recognised and skipped."
            )
        if self.target != target:
            named = target.address != self.target.address
            was = self.target.address if named else f"the model {self.target.model}"
            now = target.address if named else f"the model {target.model}"
            raise MigrationRefusedError(
                f"The checkpoint {path} belongs to another target: {was}, not {now}.\nName that target (--target), or another "
                "checkpoint file (--checkpoint)."
            )


def timestamp() -> str:
    """Now, as the guide's checkpoint shows times."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
