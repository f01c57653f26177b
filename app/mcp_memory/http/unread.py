"""What clients have sent and the application hasn't taken yet, bounded over all connections of a socket together."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl

UNREAD_BYTES = 16 * 1024 * 1024
"""uvicorn alone holds up to 64 KiB and one packet (256 KiB with uvloop) of each connection: 300 MiB of a thousand."""


class Unread:
    """Over the budget nobody is read from, until the application has taken half of what is held.

    One packet more arrives of each connection that is made meanwhile: uvloop reads from it at once.
    """

    def __init__(self, budget: int = UNREAD_BYTES) -> None:
        self.full = False
        self.size = 0
        self._budget = budget
        self._held: dict[BoundedReading, int] = {}

    def enter(self, reading: BoundedReading) -> None:
        self._held[reading] = 0

    def left(self, reading: BoundedReading) -> None:
        self.hold(reading, 0)
        del self._held[reading]

    def hold(self, reading: BoundedReading, size: int) -> None:
        """So much is held of this connection, from now on."""
        self.size += size - self._held[reading]
        self._held[reading] = size
        if not self.full and self.size > self._budget:
            self.full = True
            for each in self._held:
                each.apply()
        elif self.full and self.size <= self._budget // 2:
            self.full = False
            for each in self._held:
                each.apply()


class BoundedReading(FlowControl):
    """uvicorn's switch of a connection's reading, beside the one that all connections share.

    `source` is the socket, also beneath TLS, which would go on collecting packets if only its own reading were off.
    """

    def __init__(self, source: asyncio.Transport, unread: Unread) -> None:
        super().__init__(source)
        self._unread = unread
        unread.enter(self)

    def holds(self, size: int) -> None:
        self._unread.hold(self, size)

    def left(self) -> None:
        self._unread.left(self)

    def pause_reading(self) -> None:
        self.read_paused = True
        self.apply()

    def resume_reading(self) -> None:
        self.read_paused = False
        self.apply()

    def apply(self) -> None:
        """Read, unless one of both switches is off."""
        if self._transport.is_closing():
            return
        if self.read_paused or self._unread.full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
