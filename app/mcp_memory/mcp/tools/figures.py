"""memory_health and memory_stats."""

from __future__ import annotations

import json
from typing import Any

from mcp_memory import __version__
from mcp_memory.mcp import schemas
from mcp_memory.mcp.arguments import Arguments
from mcp_memory.mcp.render import document
from mcp_memory.mcp.tool import Tool, ToolAnswer
from mcp_memory.memories.service import Memories

TAGS = 200
"""Tags that an answer names, the most frequent first."""


async def health(memories: Memories, _arguments: Arguments) -> ToolAnswer:
    """An unhealthy storage is an answer, not an error: its message says why and what to do."""
    state = await memories.health()
    answer: dict[str, Any] = {
        "status": "healthy" if state.healthy else "degraded",
        "message": state.message or "The storage answers.",
        "version": __version__,
        "backend": state.backend,
        "collections": state.collections,
        "vector_dimensions": state.vector_dimensions,
    }
    if state.healthy:
        statistics = await memories.statistics()
        answer |= {"total_memories": statistics.total_memories, "embedding_model": statistics.embedding_model}
    return ToolAnswer(f"Database Health Check Results:\n{document(answer)}", answer)


async def statistics_of(memories: Memories) -> dict[str, Any]:
    """Counts and sizes: the answer of memory_stats and of the resource memory://stats."""
    statistics = await memories.statistics()
    sizes = await memories.storage_stats()
    return {
        "total_memories": statistics.total_memories,
        "unique_tags": statistics.unique_tags,
        "memories_this_week": statistics.memories_this_week,
        "stores": dict(statistics.stores),
        "tags": dict(list((await memories.tags()).items())[:TAGS]),
        "backend": statistics.backend,
        "embedding_model": statistics.embedding_model,
        "embedding_dimension": statistics.embedding_dimension,
        "vectors_count": sizes.vectors_count,
        "indexed_vectors_count": sizes.indexed_vectors_count,
        "disk_data_size": sizes.disk_data_size,
        "ram_data_size": sizes.ram_data_size,
    }


async def stats(memories: Memories, _arguments: Arguments) -> ToolAnswer:
    """Figures, tags with their counts, and whether the storage answers: in trouble that is all there is to tell."""
    state = await memories.health()
    answer: dict[str, Any] = {"status": "healthy" if state.healthy else "degraded", "version": __version__}
    if not state.healthy:
        answer["message"] = state.message or "The storage doesn't answer."
        return ToolAnswer(_compact(answer), answer)
    answer |= await statistics_of(memories)
    return ToolAnswer(_compact(answer), answer)


def _compact(answer: dict[str, Any]) -> str:
    """A JSON document with one line for each field: tags and stores would else take a line each."""
    fields = (f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in answer.items())
    return "{" + ",\n".join(fields) + "}"


MEMORY_HEALTH = Tool(
    name="memory_health",
    title="Check health",
    description="Whether the memory's storage answers, and what to do where it doesn't. Takes no arguments.",
    parameters={},
    output=schemas.mapping(
        {
            "status": schemas.text("State of the storage", choices=("healthy", "degraded")),
            "message": schemas.text("Why, and what to do"),
            "version": schemas.text("Version of the service"),
            "backend": schemas.text("Storage backend"),
            "collections": schemas.integer("Number of collections"),
            "vector_dimensions": schemas.integer("Dimensions of the vectors"),
            "total_memories": schemas.integer("Number of memories, where healthy"),
            "embedding_model": schemas.text("Embedding model, where healthy"),
        },
        required=("status", "message", "version", "backend", "vector_dimensions"),
    ),
    run=health,
    read_only=True,
)

MEMORY_STATS = Tool(
    name="memory_stats",
    title="Show statistics",
    description="Tags with their counts, number of memories, stores, size, and whether the storage is well. Takes no arguments.",
    parameters={},
    output=schemas.mapping(
        {
            "status": schemas.text("healthy or degraded"),
            "message": schemas.text("Why it is degraded, and what to do"),
            "version": schemas.text("Version of the service"),
            "tags": schemas.free_object("Memories with each tag, most frequent first, at most 200 tags"),
            "total_memories": schemas.integer("Number of memories"),
            "unique_tags": schemas.integer("Number of different tags"),
            "memories_this_week": schemas.integer("Memories created in the last 7 days"),
            "stores": schemas.free_object("Memories in each store"),
            "backend": schemas.text("Storage backend"),
            "embedding_model": schemas.text("Embedding model"),
            "embedding_dimension": schemas.integer("Dimensions of a vector"),
            "vectors_count": schemas.integer("Vectors stored"),
            "indexed_vectors_count": schemas.integer("Vectors in the index"),
            "disk_data_size": schemas.integer("Bytes on disk"),
            "ram_data_size": schemas.integer("Bytes in memory"),
        },
        required=("status", "version"),
    ),
    run=stats,
    read_only=True,
)
