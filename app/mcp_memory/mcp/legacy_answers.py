"""Answers of old tool names, in the original's form: numbered blocks for a search, a JSON document for a page.

`Hash:` stands at the start of a line, where the original's clients look for it; lines of a stored text are indented, so that
none of them can stand there.
"""

from __future__ import annotations

from mcp_memory.domain.memory import ScoredMemory
from mcp_memory.mcp import schemas
from mcp_memory.mcp.render import Shown, document, fitting, hit_object, memory_object, one_line
from mcp_memory.mcp.tool import ToolAnswer
from mcp_memory.memories.requests import Listing, SearchAnswer

_INDENT = "   "


def block(position: int, hit: ScoredMemory, text: str) -> str:
    """One numbered block: content, hash, time, type, tags."""
    memory = hit.memory
    lines = [
        f"{position}. {f'{chr(10)}{_INDENT}'.join(text.splitlines() or [''])}",
        f"Hash: {memory.content_hash}",
        f"Created: {memory.created_at_iso}",
    ]
    if hit.similarity_score is not None:
        lines.append(f"Similarity: {hit.similarity_score:.2f}")
    if memory.memory_type is not None:
        lines.append(f"Type: {one_line(memory.memory_type)}")
    if memory.tags:
        lines.append(f"[{one_line(', '.join(memory.tags))}]")
    return "\n".join(lines)


def found(answer: SearchAnswer, max_chars: int = 0, *, capped: str = "") -> ToolAnswer:
    """The answer of every old tool that searches. `capped` says that fewer are given than were asked for."""
    total = len(answer.hits)
    kept = fitting([Shown(hit.memory, hit.memory.content) for hit in answer.hits], max_chars, answer.query)
    about = f"(mode: {answer.mode})" + (f" for query: '{one_line(answer.query)}'" if answer.query else "")
    parts = [(f"Found {total} memories {about}" if total else f"No memories found {about}") + capped]
    shown = answer.hits[: len(kept)]
    parts += [block(place, hit, cut.text) for place, (hit, cut) in enumerate(zip(shown, kept, strict=True), 1)]
    if total > len(kept):
        parts.append(f"({total - len(kept)} more left out: max_response_chars)")
    memories = [hit_object(hit) | {"content": cut.text} for hit, cut in zip(shown, kept, strict=True)]
    return ToolAnswer(
        "\n\n".join(parts),
        {
            "memories": memories,
            "total": total,
            "mode": answer.mode,
            "query": answer.query,
            "milliseconds": round(answer.milliseconds, 3),
            **({"message": parts[0]} if capped else {}),
        },
    )


def listed(listing: Listing, page: int, page_size: int, *, capped: str = "") -> ToolAnswer:
    """A page as a JSON document; the text and the structured answer are the same. `capped`: as in `found`."""
    answer = {
        "memories": [memory_object(memory) for memory in listing.memories],
        "total": listing.total,
        "page": page,
        "page_size": page_size,
        "has_more": listing.next is not None,
        **({"message": f"{listing.total} memories{capped}"} if capped else {}),
    }
    return ToolAnswer(document(answer), answer)


FOUND = schemas.mapping(
    {
        "memories": schemas.objects(
            "Best first",
            schemas.memory(
                "A memory and how well it fits",
                {
                    "similarity_score": schemas.number(
                        "0.0 to 1.0, unrelated is about 0.5; only where a text was compared"
                    ),
                    "score": schemas.number("What orders the answer; its scale depends on the mode"),
                },
            ),
        ),
        "total": schemas.integer("How many were found"),
        "mode": schemas.text("How they were found; tag or time where no text took part"),
        "query": schemas.text("The text that was searched for"),
        "milliseconds": schemas.number("Time it took"),
        "message": schemas.text("Only where fewer are given than were asked for: so many at most"),
    },
    required=("memories", "total", "mode", "query"),
)
LISTED = schemas.mapping(
    {
        "memories": schemas.objects("Newest first", schemas.memory("A memory")),
        "total": schemas.integer("How many there are on all pages"),
        "page": schemas.integer("This page, from 1"),
        "page_size": schemas.integer("Memories a page"),
        "has_more": schemas.flag("Whether another page follows"),
        "message": schemas.text("Only where a page is smaller than was asked for: so many at most"),
    },
    required=("memories", "total", "page", "page_size", "has_more"),
)
