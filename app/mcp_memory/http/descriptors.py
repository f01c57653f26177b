"""How many connections this process may hold: as many as it has file descriptors for, with some left for everything else."""

from __future__ import annotations

import sys
from dataclasses import dataclass

WANTED_DESCRIPTORS = 65_536
RESERVED_DESCRIPTORS = 256
"""For what is no client's connection: the engine's socket, the model, databases, connections to a Qdrant server, logs."""
LONGEST_BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Connections that are open at a time, and those that the kernel may hold until they are taken."""

    tcp: int
    unix: int
    backlog: int

    @classmethod
    def within(cls, wanted: int, descriptors: int | None) -> ConnectionLimits:
        """At most `wanted` over TCP and a third as many over the local socket, within so many descriptors (None: no limit)."""
        if descriptors is None:
            return cls(wanted, max(1, wanted // 3), LONGEST_BACKLOG)
        room = descriptors - min(RESERVED_DESCRIPTORS, descriptors // 2)
        tcp = max(1, min(wanted, room // 2))
        # A burst is taken from the kernel before the first of it is looked at: the backlogs of both sockets must fit too.
        return cls(tcp, max(1, tcp // 3), max(1, min(LONGEST_BACKLOG, (room - tcp - tcp // 3) // 2)))


def raise_descriptor_limit() -> None:
    """Take what the system allows: many distributions start programs with 1,024 and allow far more."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  (not on Windows)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, WANTED_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS promises more than it gives: what there is will do
        return


def connection_limits(wanted: int) -> ConnectionLimits:
    """The limits of this process as it is now."""
    if sys.platform == "win32":
        return ConnectionLimits.within(wanted, None)
    import resource  # noqa: PLC0415  (not on Windows)

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ConnectionLimits.within(wanted, None if soft == resource.RLIM_INFINITY else soft)
