"""Whether a server's version can be used with this client."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from mcp_memory.domain.errors import StorageUnavailableError
from mcp_memory.native import upgrade_command

OLDEST: Final = (1, 19)
"""Collection metadata, insert-only writes and binary quantization with 8-bit queries work from here on."""


def check_version(server: str, where: str, *, client: str | None = None) -> None:
    """Raises StorageUnavailableError where the server is older than 1.19, or more than one minor version from the client."""
    client = client or version("qdrant-client")
    theirs, ours = _minor(server), _minor(client)
    if theirs < OLDEST:
        raise StorageUnavailableError(
            f"Qdrant at {where} is version {server}; this service needs {OLDEST[0]}.{OLDEST[1]} or later.\n"
            "Upgrade it one minor version at a time: docker pull qdrant/qdrant:v1.19.0"
        )
    if theirs[0] != ours[0] or abs(theirs[1] - ours[1]) > 1:
        raise StorageUnavailableError(
            f"Qdrant at {where} is version {server}, qdrant-client here is {client}: they may differ by one minor version.\n"
            f"Upgrade the older of the two; the client with:  {upgrade_command()}"
        )


def _minor(text: str) -> tuple[int, int]:
    """(major, minor); a version that isn't one counts as too old."""
    parts = text.split(".")
    try:
        return int(parts[0]), int(parts[1])
    except (ValueError, IndexError):
        return (0, 0)
