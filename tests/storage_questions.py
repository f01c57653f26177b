"""What is asked of every backend: 400 memories, and filters of every kind over them."""

from __future__ import annotations

from hypothesis import strategies as st

from mcp_memory.domain.query import MemoryFilter, TagMatch
from reference_storage import ReferenceStorage
from storage_samples import DIMENSIONS, START, collection

ITEMS = collection(400)
TIMES = sorted({item.memory.created_at for item in ITEMS})
FILTERS = st.builds(
    MemoryFilter,
    tags=st.lists(st.sampled_from(["a", "b", "c", "d", "ünï", "unknown"]), max_size=3, unique=True).map(tuple),
    tag_match=st.sampled_from(TagMatch),
    memory_type=st.sampled_from([None, None, "note", "decision", "unknown"]),
    created_from=st.none() | st.sampled_from([*TIMES[:3], START - 1, START + 1e9]) | st.sampled_from(TIMES),
    created_to=st.none() | st.sampled_from(TIMES) | st.just(START + 1e9),
    store=st.sampled_from([None, "default", "work", "unknown"]),
)


async def reference_of_items() -> ReferenceStorage:
    reference = ReferenceStorage(DIMENSIONS)
    await reference.upsert(ITEMS)
    return reference
