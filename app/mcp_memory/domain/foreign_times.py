"""When a memory was made and changed, by what its row says in up to four columns.

The number is authoritative: where the ISO form differs by a second or more (older releases wrote local time there), the number
is used and the ISO form kept. Missing and impossible times are replaced by the next best thing that the row says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mcp_memory.domain.checks import LATEST_TIME
from mcp_memory.domain.foreign_notes import Note

if TYPE_CHECKING:
    from mcp_memory.domain.memory import JsonValue

_TOLERANCE = 1.0
"""Seconds by which number and ISO form may differ through rounding."""


@dataclass(frozen=True, slots=True)
class RawTimes:
    created_at: object = None
    updated_at: object = None
    created_at_iso: object = None
    updated_at_iso: object = None


NO_TIMES = RawTimes()


def resolve_times(raw: RawTimes, fallback: float, kept: dict[str, JsonValue], notes: list[Note]) -> tuple[float, float]:
    """created_at and updated_at in UTC seconds, within the domain's range."""
    created = _resolve("created_at", raw.created_at, raw.created_at_iso, kept, notes)
    updated = _resolve("updated_at", raw.updated_at, raw.updated_at_iso, kept, notes)
    if created is None or updated is None:
        notes.append(Note.TIME_MISSING)
    if created is None:
        created = fallback if updated is None else updated
    return created, created if updated is None else updated


def _resolve(name: str, value: object, iso: object, kept: dict[str, JsonValue], notes: list[Note]) -> float | None:
    number = _seconds(value)
    written = iso_seconds(iso)
    if number is not None:
        if not isinstance(value, int | float) or number != value:
            _keep(name, value, kept, notes, Note.TIME_REPAIRED)
        if (written is None and not _blank(iso)) or (written is not None and abs(written - number) >= _TOLERANCE):
            _keep(f"{name}_iso", iso, kept, notes, Note.TIME_DISAGREES)
        return number
    if not _blank(value):
        _keep(name, value, kept, notes, Note.TIME_REPAIRED)
    if written is None and not _blank(iso):
        _keep(f"{name}_iso", iso, kept, notes, Note.TIME_REPAIRED)
    return written


def _keep(name: str, value: object, kept: dict[str, JsonValue], notes: list[Note], note: Note) -> None:
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    plain = isinstance(value, str) or (isinstance(value, int | float) and abs(value) < 2**63)
    kept[name] = value if plain and (isinstance(value, str) or math.isfinite(value)) else ascii(value)  # type: ignore[arg-type]
    if note not in notes:
        notes.append(note)


def _blank(value: object) -> bool:
    return value is None or value in ("", b"")


def _seconds(value: object) -> float | None:
    """UTC seconds of a number, a number as text, milliseconds, or an ISO form where a number was expected."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str | bytes):
        text = value.decode(errors="replace") if isinstance(value, bytes) else value
        try:
            value = float(text)
        except ValueError:
            return iso_seconds(text)
    if not isinstance(value, int | float):
        return None
    if 0 <= value <= LATEST_TIME:
        return float(value)
    if LATEST_TIME < value <= LATEST_TIME * 1000:
        return float(value) / 1000
    return None


def iso_seconds(value: object) -> float | None:
    """UTC seconds of an ISO 8601 form, without a zone UTC; None for anything else, and outside 1970 to 9999."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds <= LATEST_TIME else None
