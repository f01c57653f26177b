"""Whether somebody still waits for an answer: long work looks between its slices, and ends there once its client has gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias, TypeVar

from mcp_memory.domain.errors import AbandonedError

SLICE = 128
"""Memories embedded and written at a time: bounds what a batch holds in memory, and lets others in between."""
SLICE_CHARACTERS = 65_536
"""Text in a slice, where it is more than one memory: on a small machine the model reads for seconds on so much."""

Gone: TypeAlias = Callable[[], Awaitable[bool]]
Item = TypeVar("Item")
_gone: ContextVar[Gone | None] = ContextVar("gone", default=None)


@contextmanager
def asked_by(gone: Gone) -> Generator[None]:
    """Work inside is for a client of whom `gone` tells whether it has gone."""
    token = _gone.set(gone)
    try:
        yield
    finally:
        _gone.reset(token)


async def still_wanted() -> None:
    """Called where what is done so far is whole. Raises AbandonedError once the client has gone."""
    gone = _gone.get()
    if gone is not None and await gone():
        raise AbandonedError


def slices(items: Sequence[Item], length: Callable[[Item], int]) -> Iterator[Sequence[Item]]:
    """Runs of at most 128 items, and 64 Ki characters where it is more than one."""
    start, characters = 0, 0
    for place, item in enumerate(items):
        size = length(item)
        if place > start and (place - start >= SLICE or characters + size > SLICE_CHARACTERS):
            yield items[start:place]
            start, characters = place, 0
        characters += size
    if start < len(items):
        yield items[start:]
