"""What the tools cost an assistant: tokens of the list of tools, of a search of five, and of a list of twenty.

`make bench-context` counts with cl100k_base (PyPI `bpe-openai`, installed into a folder of its own), over compact JSON of name,
description and input schema of each listed tool: the count that gave 2,970 for the fifteen tools of release 0.1.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.peers import peers, tools_of
from mcp_memory.embedding.select import EmbeddingOptions, build_embedder
from mcp_memory.mcp.tools.listing import MEMORY_LIST
from mcp_memory.mcp.tools.registry import descriptions
from mcp_memory.mcp.tools.search import MEMORY_SEARCH
from mcp_memory.memories.known_answers import PAIRS
from mcp_memory.memories.requests import NewMemory
from mcp_memory.memories.service import Memories
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage


async def answers(storage: QdrantEmbeddedStorage) -> dict[str, Any]:
    """The texts that are counted, by what they are."""
    embedder = build_embedder(EmbeddingOptions())
    memories = Memories(storage, embedder)
    await storage.initialize()
    tags = ("falcon", "billing"), ("home",), ("team", "travel")
    await memories.store_many(
        [NewMemory(fact, tags=tags[n % 3], memory_type="decision") for n, (fact, _) in enumerate(PAIRS)]
    )
    search = await MEMORY_SEARCH.call(memories, {"query": "Which database does Falcon use for billing?", "limit": 5})
    listing = await MEMORY_LIST.call(memories, {})
    await storage.close()
    await embedder.close()
    return {
        "tools (name, description, input schema)": counted(descriptions(legacy_names=True, everything=False)),
        "tools/list, whole": _compact(descriptions(legacy_names=True, everything=False)),
        "search of five, text": search.text,
        "search of five, structured": _compact(search.structured),
        "list of twenty, text": listing.text,
        "list of twenty, structured": _compact(listing.structured),
    }


def counted(tools: Iterable[Mapping[str, Any]]) -> str:
    """The text of a list of tools that every server's is counted by."""
    return _compact([{key: tool.get(key, "") for key in ("name", "description", "inputSchema")} for tool in tools])


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def main() -> None:
    import tempfile  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    import bpe_openai  # type: ignore[import-not-found]  # noqa: PLC0415  (make bench-context brings it)

    from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions  # noqa: PLC0415

    embedder = build_embedder(EmbeddingOptions())
    identity = embedder.identity
    encoding = bpe_openai.get_encoding("cl100k_base")
    with tempfile.TemporaryDirectory() as folder:
        storage = QdrantEmbeddedStorage(EmbeddedOptions(Path(folder) / "store", identity))
        for what, text in asyncio.run(answers(storage)).items():
            print(f"{what:<46}{len(encoding.encode(text)):>6} tokens")
    print("the same count of other servers' lists of tools:")
    for peer in peers(os.environ.get("UV", "uv")):
        tools = asyncio.run(tools_of(peer))
        if isinstance(tools, str):
            print(f"{peer.name:<46}{tools}")
        else:
            print(f"{peer.name:<46}{len(encoding.encode(counted(tools))):>6} tokens, {len(tools)} tools")


if __name__ == "__main__":
    main()
