"""What clients of the original look for in our answers, to the character: each row is a client and the pattern that it has."""

from __future__ import annotations

import re

import pytest

from mcp_memory.domain.memory import content_hash
from mcp_memory.memories.requests import NewMemory
from memory_world import World

pytestmark = pytest.mark.anyio

STORED_AGAIN = {
    "as it was": (NewMemory("the cat sat"), "default"),
    "in another case": (NewMemory("The CAT sat"), "default"),
    "with other tags": (NewMemory("the cat sat", tags=["x"]), "default"),
    "in another store": (NewMemory("the cat sat"), "work"),
}
CODEX_HOOK = r"^Duplicate content detected \(exact match\)(?:;|$)"
"""codex/memory-hook.js: anything else is a failure to it, after which it stores nothing more."""
SEMANTIC = r"semantically similar to ([a-f0-9]+)"
"""The original's own harvest and import. The text may be followed by the end or a semicolon, as the other one."""
HOOKS_STORED = r"\((?:original )?hash:\s*([a-f0-9]+)\)"
"""claude-hooks/utilities/mcp-client.js: the hash of what it has just stored."""


@pytest.mark.parametrize("again", STORED_AGAIN)
async def test_a_duplicate_is_said_in_the_words_that_the_codex_hook_goes_on_after(world: World, again: str) -> None:
    new, store = STORED_AGAIN[again]
    await world.keep("the cat sat", store=store)
    assert re.search(CODEX_HOOK, (await world.memories.store(new)).message)


async def test_duplicates_within_a_batch_are_said_in_the_same_words(world: World) -> None:
    first, second = await world.memories.store_many([NewMemory("the cat sat"), NewMemory("The cat sat")])
    assert first.stored
    assert re.search(CODEX_HOOK, second.message)


async def test_a_similar_text_names_the_stored_one_where_clients_look_for_it(world: World) -> None:
    base = " ".join(f"word{number}" for number in range(60))
    await world.keep(base)
    result = await world.memories.store(NewMemory(f"{base} more"), semantic_dedup=True)
    assert re.match(r"Duplicate content detected \(semantically similar to [0-9a-f]{64}\)(?:;|$)", result.message)
    found = re.search(SEMANTIC, result.message)
    assert found is not None
    assert found[1] == content_hash(base)
    assert not re.search(CODEX_HOOK, result.message)


async def test_a_stored_memory_names_its_hash_where_the_hooks_look_for_it(world: World) -> None:
    found = re.search(HOOKS_STORED, (await world.memories.store(NewMemory("a new text"))).message)
    assert found is not None
    assert found[1] == content_hash("a new text")
