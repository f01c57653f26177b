"""Which node of a cluster is asked: one that answers, and goes on to be asked while it does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from mcp_memory.storage.qdrant_server.failures import NodeSilentError

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
"""A request without an answer for this long has its node asked for a sign of life, and again after as long."""
SILENT_SECONDS: Final = 3.0
"""How long that sign may take. A node that hangs, or is cut off, is left after both; one that lives is waited for: it may itself
be waiting for another node, 9 s in Qdrant 1.19 (docs/decisions/cut-off-nodes.md)."""
AVOIDED_SECONDS: Final = 10.0
"""How long a node that gave no sign is passed over, as long as there are others."""


class Nodes:
    """The place of one node among those of a cluster, shared by all requests."""

    def __init__(self, urls: tuple[str, ...], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._urls = urls
        self._monotonic = monotonic
        self._silent_until = [float("-inf")] * len(urls)
        self.current = 0

    @property
    def address(self) -> str:
        return self._urls[self.current]

    def leave(self, node: int, *, silent: bool = False) -> None:
        """Requests go to another node from now on. One that failed beside this one has moved them already: only once."""
        now = self._monotonic()
        if silent:
            self._silent_until[node] = now + AVOIDED_SECONDS
        if node != self.current:
            return
        others = [(node + step) % len(self._urls) for step in range(1, len(self._urls))]
        if others:
            self.current = next((other for other in others if self._silent_until[other] <= now), others[0])


async def answer_of_a_living_node(
    request: Callable[[AsyncQdrantClient], Awaitable[T]], client: AsyncQdrantClient, url: str
) -> T:
    """The request's answer, however long it takes. Raises NodeSilentError once the node gives no sign of life any more."""
    answer = asyncio.ensure_future(request(client))
    silence = asyncio.create_task(_silence(client), name="node-silence")
    try:
        await asyncio.wait((answer, silence), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise NodeSilentError(url)
        return answer.result()
    finally:
        for task in (answer, silence):
            task.cancel()
        await asyncio.gather(answer, silence, return_exceptions=True)


async def _silence(client: AsyncQdrantClient) -> None:
    """Returns when the node has not even told its version in the time for that. An error is an answer, too."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                await asyncio.gather(client.info(), return_exceptions=True)
        except TimeoutError:
            return
