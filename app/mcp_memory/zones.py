"""Time zones by name: IANA's, and POSIX's rules (`UTC0`, `CET-1CEST,M3.5.0,M10.5.0/3`), as the C library takes them in `TZ`."""

from __future__ import annotations

import difflib
import io
import struct
import zoneinfo
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.environment import value_of

_LOCALTIME = Path("/etc/localtime")


def zone_of(name: str) -> tzinfo:
    """The zone of a name or rule. Raises ValueError where it is neither, naming the nearest name."""
    text = name.removeprefix(":")
    if text.startswith("/"):
        try:
            with Path(text).open("rb") as file:
                return ZoneInfo.from_file(file, key=text)
        except (OSError, ValueError) as error:
            raise ValueError(f"{text} can't be read as a time zone: {error}") from None
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass  # not IANA's, then
    try:
        return _by_rule(text)
    except (ValueError, UnicodeEncodeError):
        raise ValueError(f"{text!r} is not a time zone. {_advice(text)}") from None


def system_zone() -> tzinfo:
    """The zone of this machine: `TZ`, or what is set up for all.

    Raises ConfigurationError where `TZ` names none, which the C library takes for UTC without a word.
    """
    name = value_of("TZ")
    if name is not None:
        try:
            return zone_of(name)
        except ValueError as error:
            raise ConfigurationError(f"TZ: {error} Or set MCP_TIMEZONE, which goes before it.") from None
    import tzlocal  # noqa: PLC0415  (only where no zone is set)

    try:
        return tzlocal.get_localzone()
    except (ZoneInfoNotFoundError, ValueError):
        # /etc/timezone and /etc/localtime disagree, or name what isn't installed: the C library goes by the second.
        return zone_of(str(_LOCALTIME)) if _LOCALTIME.exists() else ZoneInfo("UTC")


def _by_rule(rule: str) -> ZoneInfo:
    """A POSIX rule, read by zoneinfo from a file (RFC 8536, version 2) that holds nothing but it."""

    def header(times: int, names: int) -> bytes:
        return b"TZif2" + bytes(15) + struct.pack(">6L", 0, 0, 0, 0, times, names)

    empty = header(1, 2) + struct.pack(">lbb", 0, 0, 0) + b"-\0"
    return ZoneInfo.from_file(io.BytesIO(empty + empty + b"\n" + rule.encode("ascii") + b"\n"), key=rule)


def _advice(name: str) -> str:
    known = {each.lower(): each for each in zoneinfo.available_timezones()}
    near = difflib.get_close_matches(name.lower().replace(" ", "_"), known, 1, 0.6)
    return f"Did you mean {known[near[0]]}?" if near else "Use a name such as Europe/Berlin, or UTC."
