"""What a migration did, for people and as a JSON file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mcp_memory.migration.files import replace_durably
from mcp_memory.migration.sources.base import SourceReport
from mcp_memory.migration.validation import Failure

MAX_FAILURES = 10_000
"""Failures named in the file; all are counted."""


@dataclass(slots=True)
class MigrationReport:
    """Counts of the whole migration, resumed runs included; `seconds`, `failures` and `unreadable` are of the last run."""

    source: SourceReport
    target: str
    model: str
    total: int
    migrated: int = 0
    existed: int = 0
    reembedded: int = 0
    verified: int = 0
    validation_errors: int = 0
    failures: list[Failure] = field(default_factory=list)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Why, by hash."""
    unreadable_count: int = 0
    failed_count: int = 0
    caught_up: int = 0
    """Written to the source meanwhile, and brought over too."""
    notes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    this_run: int = 0
    completed: bool = False

    @property
    def succeeded(self) -> bool:
        return self.completed and not (self.failed_count or self.validation_errors or self.unreadable_count)

    @property
    def not_migrated(self) -> dict[str, int]:
        """What stays in the source on purpose."""
        left = {
            "deleted": self.source.tombstones,
            "superseded": self.source.superseded,
            "without a text": self.unreadable_count,
        }
        return {**{name: number for name, number in left.items() if number}, **self.source.left_behind}

    def lines(self) -> list[str]:
        """What there is to say besides the guide's own lines."""
        said = []
        if self.existed:
            said.append(f"Already in the target: {self.existed}")
        if self.reembedded:
            said.append(f"Embedded on the way: {self.reembedded}")
        if self.caught_up:
            said.append(f"Written meanwhile and brought over: {self.caught_up}")
        if self.failed_count:
            said.append(f"Failed: {self.failed_count} (run again with --resume to retry them)")
        if self.not_migrated:
            said.append(
                "Left in the source: " + ", ".join(f"{number} {name}" for name, number in self.not_migrated.items())
            )
        said += [f"{number} memories: {note}" for note, number in self.notes.most_common()]
        return said

    @property
    def shortfall(self) -> str | None:
        """The last line where something is missing."""
        missing = self.unreadable_count + self.failed_count
        if self.succeeded:
            return None
        if missing:
            return f"INCOMPLETE: {missing:,} of {self.total:,} memories of {self.source.path} could not be taken."
        return f"NOT VERIFIED: {self.validation_errors:,} differences between {self.source.path} and {self.target}."

    def write(self, path: Path) -> None:
        """Raises OSError."""
        replace_durably(path, json.dumps(self.document(), indent=2, default=str).encode() + b"\n")

    def document(self) -> dict[str, Any]:
        """The report's file, and what `--json` prints."""
        return {
            "source": {**asdict(self.source), "path": str(self.source.path), "kind": self.source.kind.value},
            "target": self.target,
            "model": self.model,
            "completed": self.completed,
            "total": self.total,
            "migrated": self.migrated,
            "already_there": self.existed,
            "embedded_on_the_way": self.reembedded,
            "verified": self.verified,
            "validation_errors": self.validation_errors,
            "caught_up": self.caught_up,
            "failed": self.failed_count,
            "failures": [asdict(failure) for failure in self.failures[:MAX_FAILURES]],
            "left_in_source": self.not_migrated,
            "unreadable": dict(self.unreadable),
            "notes": dict(self.notes.most_common()),
            "seconds": round(self.seconds, 3),
            "memories_per_second": round(self.this_run / self.seconds, 1) if self.seconds else None,
        }
