"""A cap on open connections that keeps the door open: who has waited longest for nothing makes room for who comes."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from mcp_memory.http.unread import Unread


class Waiting(IntEnum):
    """What a connection waits for; the first of these gives way first."""

    HEAD = 0
    """For its first request: silent, or half a head."""
    NEXT = 1
    """For another request."""
    BODY = 2
    """For the rest of a request."""


class Guest(Protocol):
    """A connection."""

    def leave(self) -> None:
        """Close at once: the place is needed."""


class Door:
    """Knows the connections of one socket. At most `limit` are open; requests in work are never ended for another."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.unread = Unread()
        self._open: set[Guest] = set()
        self._waiting: tuple[dict[Guest, None], ...] = tuple({} for _ in Waiting)

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, guest: Guest) -> bool:
        """A connection that has just been made; False where there is no place, also not by sending somebody away."""
        if len(self._open) >= self.limit and not self._make_room():
            return False
        self._open.add(guest)
        self._waiting[Waiting.HEAD][guest] = None
        return True

    def waits(self, guest: Guest, what: Waiting) -> None:
        """It waits, from now on, for its client."""
        self.works(guest)
        if guest in self._open:
            self._waiting[what][guest] = None

    def works(self, guest: Guest) -> None:
        """It has all that it needs from its client."""
        for waiting in self._waiting:
            waiting.pop(guest, None)

    def left(self, guest: Guest) -> None:
        self.works(guest)
        self._open.discard(guest)

    def _make_room(self) -> bool:
        for waiting in self._waiting:
            for guest in waiting:
                self.left(guest)
                guest.leave()
                return True
        return False
