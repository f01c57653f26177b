"""owner.json: who owns the store and where it listens. Written by the owner, replaced atomically, readable by its user only."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

PROTOCOL = 1
"""Version of what client and owner say to each other: the record, /internal, and the headers of forwarded requests."""


class OwnerKind(StrEnum):
    SERVER = "server"
    """`memory server`: somebody's own; nobody ends it but them."""
    BACKGROUND = "background"
    """`memory owner`, started by a client; hands over when asked, ends when idle."""
    MAINTENANCE = "maintenance"
    """A command that needs the folder for itself (migration, restore); answers nobody."""


@dataclass(frozen=True, slots=True)
class OwnerRecord:
    """What a client needs to know before it speaks to an owner."""

    pid: int
    kind: OwnerKind
    version: str
    model: str
    fingerprint: str
    """Of the settings that change answers; see `identity.StoreIdentity`."""
    address: str
    """`unix:/path`, or `tcp:127.0.0.1:port` where there are no Unix sockets."""
    started_at: str
    protocol: int = PROTOCOL
    token: str | None = None
    """Sent as X-Owner-Token with every request over `tcp:`, where no file mode guards the door."""
    tcp: str | None = None
    """URL of the public HTTP address, if there is one."""

    def public(self) -> dict[str, Any]:
        """As JSON, without the token."""
        return {name: value for name, value in asdict(self).items() if name != "token"}


def write_record(path: Path, record: OwnerRecord) -> None:
    """Replace the record: readers see the old or the new one, never a part. Mode 0600."""
    fd, name = tempfile.mkstemp(prefix="owner.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(asdict(record), file, indent=1)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def read_record(path: Path) -> OwnerRecord | None:
    """The record, or None where there is none that this version can read."""
    try:
        return parse_record(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def parse_record(values: object) -> OwnerRecord:
    """A record from JSON; fields a later version added are ignored. Raises ValueError where one is missing."""
    if not isinstance(values, Mapping):
        raise ValueError("an owner's record is a JSON object")
    known = {field.name for field in fields(OwnerRecord)}
    try:
        return OwnerRecord(
            **{key: value for key, value in values.items() if key in known} | {"kind": OwnerKind(values["kind"])}
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"an owner's record lacks {error}") from None


def version_tuple(version: str) -> tuple[int, ...]:
    """`"1.10.2"` as (1, 10, 2); what follows the digits of a part ("2rc1") is left out."""
    parts = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)
