"""owner.json: who owns the store and where it listens. Written by the owner, replaced atomically, readable by its user only."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from mcp_memory.owner.paths import OwnerPaths
from mcp_memory.system.records import one_line
from mcp_memory.system.records import read_record as read_file

PROTOCOL = 1
"""Version of what client and owner say to each other: the record, /internal, and the headers of forwarded requests."""


RECORD_BYTES = 65_536
_VERSION = re.compile(r"[0-9A-Za-z.+!-]{1,64}")
_WORD = re.compile(r"[0-9A-Za-z._-]{1,64}")
_TIME = re.compile(r"[0-9T:+.Z-]{1,40}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TCP = re.compile(r"https?://[A-Za-z0-9.:%\[\]_-]{1,300}")
_LOOPBACK = re.compile(r"tcp:127\.0\.0\.1:[1-9][0-9]{0,4}")


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


def write_record(paths: OwnerPaths, record: OwnerRecord) -> None:
    """Replace the record: readers see the old or the new one, never a part. Mode 0600.

    On a full disk it is written over what the last owner left, which takes no room: a service that only reads starts there too.
    """
    text = json.dumps(asdict(record), indent=1)
    try:
        _write_anew(paths.record, text)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT} or not paths.spare.exists():
            raise
        _write_over(paths.spare, text)
        paths.spare.replace(paths.record)


def withdraw_record(paths: OwnerPaths) -> None:
    """Take the record away, and keep its blocks for the next one."""
    with suppress(FileNotFoundError):
        paths.record.replace(paths.spare)


def _write_anew(path: Path, text: str) -> None:
    fd, name = tempfile.mkstemp(prefix="owner.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _write_over(path: Path, text: str) -> None:
    """Into the blocks that the file has; a link is not followed."""
    fd = os.open(path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.truncate()


def read_record(path: Path) -> OwnerRecord | None:
    """The record, or None where there is none that this version can read, or none that an owner of this folder writes.

    Its address is where requests go, memories and token with them: only the folder's own socket passes or, where there are no
    Unix sockets, this machine's loopback.
    """
    try:
        record = parse_record(json.loads(read_file(path, limit=RECORD_BYTES)))
    except (OSError, ValueError, RecursionError):
        return None
    return record if _possible(record.address, OwnerPaths(path.parent)) else None


def _possible(address: str, paths: OwnerPaths) -> bool:
    if address.startswith("unix:"):
        return paths.may_be_socket(Path(address.removeprefix("unix:")))
    return _LOOPBACK.fullmatch(address) is not None


def parse_record(values: object) -> OwnerRecord:
    """A record from JSON; fields a later version added are ignored. Raises ValueError where one is missing or of no form that we
    write: what a record says is printed, `kill` with its process too."""
    if not isinstance(values, Mapping):
        raise ValueError("an owner's record is a JSON object")
    known = {field.name for field in fields(OwnerRecord)}
    try:
        record = OwnerRecord(
            **{key: value for key, value in values.items() if key in known} | {"kind": OwnerKind(values["kind"])}
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"an owner's record lacks {error}") from None
    wrong = next(_wrong(record), None)
    if wrong is not None:
        raise ValueError(f"an owner's record has a strange {wrong}")
    return record


def _wrong(record: OwnerRecord) -> Iterator[str]:
    """Names of fields that hold what no owner writes."""
    if type(record.pid) is not int or record.pid <= 0:
        yield "pid"
    if type(record.protocol) is not int:
        yield "protocol"
    for name, form in (("version", _VERSION), ("fingerprint", _WORD), ("started_at", _TIME)):
        value = getattr(record, name)
        if not isinstance(value, str) or form.fullmatch(value) is None:
            yield name
    for name, form in (("token", _TOKEN), ("tcp", _TCP)):
        value = getattr(record, name)
        if value is not None and (not isinstance(value, str) or form.fullmatch(value) is None):
            yield name
    for name in ("model", "address"):
        if not one_line(getattr(record, name), 4_096):
            yield name


def version_tuple(version: str) -> tuple[int, ...]:
    """`"1.10.2"` as (1, 10, 2); what follows the digits of a part ("2rc1") is left out."""
    parts = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)
