"""What two collections don't have in common, found by reading the versions of both once, in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from mcp_memory.storage.base import BaseStorage, Version


@dataclass(frozen=True, slots=True)
class Difference:
    """One memory: in one of the two only, or in both with different revisions."""

    old: Version | None
    new: Version | None


async def differences(old: BaseStorage, new: BaseStorage) -> AsyncGenerator[Difference]:
    """In order of point id; memory stays bounded. What is written meanwhile may or may not be seen."""
    async with aclosing(_pairs(old, new)) as pairs:
        async for pair in pairs:
            if pair.old is None or pair.new is None or pair.old.revision != pair.new.revision:
                yield pair


@dataclass(frozen=True, slots=True)
class Losses:
    """What would go with a collection."""

    only_there: int
    """Memories that the other one hasn't."""
    newer_there: int
    """Memories that were changed there after they went apart."""


async def losses(doomed: BaseStorage, kept: BaseStorage) -> Losses:
    only_there = newer_there = 0
    async for one in differences(doomed, kept):
        if one.new is None:
            only_there += 1
        elif one.old is not None and one.old.revision > one.new.revision:
            newer_there += 1
    return Losses(only_there, newer_there)


async def _pairs(old: BaseStorage, new: BaseStorage) -> AsyncGenerator[Difference]:
    async with aclosing(_single(old)) as olds, aclosing(_single(new)) as news:
        one, other = await anext(olds, None), await anext(news, None)
        while one is not None or other is not None:
            if other is None or (one is not None and one.id < other.id):
                yield Difference(one, None)
                one = await anext(olds, None)
            elif one is None or other.id < one.id:
                yield Difference(None, other)
                other = await anext(news, None)
            else:
                yield Difference(one, other)
                one, other = await anext(olds, None), await anext(news, None)


async def _single(storage: BaseStorage) -> AsyncGenerator[Version]:
    async for batch in storage.versions():
        for version in batch:
            yield version
