"""Memories as a model reads them and as JSON objects, and how much of each an answer holds.

A memory is one line that begins at the margin, and its text below, every line of it indented: nothing that is stored can stand
where a line of ours stands, so no text can pass for a further hit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mcp_memory.domain.memory import DEFAULT_STORE, SUPERSEDED_BY, Memory, ScoredMemory

SHORT = 12
"""Digits of a hash that answers show; tools take them in place of all 64."""
MAX_CHARS = 6_000
"""Of an answer, unless the call says otherwise: ten long memories would else fill a small model's window."""
LEAST = 240
"""Characters that a long text is cut to at least."""
INDENT = "  "
_CUT = "[...]"
_FIRST_WORDS = 80
_WORD = re.compile(r"\w{2,}")


@dataclass(frozen=True, slots=True)
class Shown:
    """A memory as an answer has it: its text, or a passage of it where it is too long, with its similarity where that counts."""

    memory: Memory
    text: str
    similarity: float | None = None

    @property
    def note(self) -> str | None:
        """How much there is of a text that isn't shown whole."""
        length = len(self.memory.content)
        return None if self.text == self.memory.content else f"{length:,} characters, full text by hash"


def document(value: Mapping[str, Any]) -> str:
    """A JSON document for a text answer."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def memory_object(memory: Memory) -> dict[str, Any]:
    """All of a memory; `memory_type` is left out where there is none, so that no field has two types."""
    return {
        "content": memory.content,
        "content_hash": memory.content_hash,
        "tags": list(memory.tags),
        **({} if memory.memory_type is None else {"memory_type": memory.memory_type}),
        "metadata": dict(memory.metadata),
        "store": memory.store,
        "created_at": memory.created_at,
        "created_at_iso": memory.created_at_iso,
        "updated_at": memory.updated_at,
        "updated_at_iso": memory.updated_at_iso,
    }


def hit_object(hit: ScoredMemory) -> dict[str, Any]:
    """A memory with its scores; `similarity_score` is left out where no query vector took part."""
    similarity = {} if hit.similarity_score is None else {"similarity_score": round(hit.similarity_score, 6)}
    return {**memory_object(hit.memory), **similarity, "score": round(hit.score, 6)}


def short_hash(hash_: str) -> str:
    """As answers show it; a hash of another form stays whole, since only digits can be completed."""
    return hash_[:SHORT] if re.fullmatch(r"[0-9a-f]{64}", hash_) else hash_


def one_line(text: str) -> str:
    """The text without anything that a reader takes as the end of a line."""
    return " ".join(text.splitlines())


def indented(text: str) -> str:
    return "\n".join(f"{INDENT}{line}" for line in text.splitlines() or [""])


def first_words(memory: Memory) -> str:
    """One line that tells which memory it is: hash, day and how it begins."""
    text = one_line(memory.content)
    return f"{heading(memory)} '{text[:_FIRST_WORDS]}{'...' if len(text) > _FIRST_WORDS else ''}'"


def heading(memory: Memory) -> str:
    """`0f35ee144d36 2026-11-28 decision [falcon, billing]`, then store and metadata where there is something to tell."""
    parts = [short_hash(memory.content_hash), memory.created_at_iso[:10]]
    if memory.memory_type is not None:
        parts.append(memory.memory_type)
    if memory.tags:
        parts.append(f"[{', '.join(memory.tags)}]")
    if memory.store != DEFAULT_STORE:
        parts.append(f"store={memory.store}")
    if memory.superseded_by is not None:
        parts.append(f"superseded by {short_hash(memory.superseded_by)}")
    if metadata := _metadata(memory):
        parts.append(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")))
    return one_line(" ".join(parts))


def _metadata(memory: Memory) -> dict[str, Any]:
    """Without the mark of a superseded memory, which is told in words, and what a migration kept for programs."""
    return {key: value for key, value in memory.metadata.items() if key not in (SUPERSEDED_BY, "_imported")}


def block(shown: Shown) -> str:
    """The line of a memory and its indented text."""
    parts = [heading(shown.memory)]
    if shown.similarity is not None:
        parts.append(f"similarity {shown.similarity:.2f}")
    if shown.note is not None:
        parts.append(f"({shown.note})")
    return f"{' '.join(parts)}\n{indented(shown.text)}"


def shown_object(shown: Shown) -> dict[str, Any]:
    """What the block says, as a JSON object; fields without a value are left out."""
    memory = shown.memory
    metadata = _metadata(memory)
    optional = {
        "memory_type": memory.memory_type,
        "tags": list(memory.tags),
        "store": None if memory.store == DEFAULT_STORE else memory.store,
        "superseded_by": memory.superseded_by and short_hash(memory.superseded_by),
        "metadata": metadata,
        "similarity_score": None if shown.similarity is None else round(shown.similarity, 2),
        "note": shown.note,
    }
    return {
        "content_hash": short_hash(memory.content_hash),
        "date": memory.created_at_iso[:10],
        **{name: value for name, value in optional.items() if value},
        "content": shown.text,
    }


def fitting(memories: Sequence[Shown], max_chars: int, query: str = "") -> list[Shown]:
    """As many as fit into `max_chars` (0: all), long texts cut to the passage that matches the query; the first always stays."""
    if max_chars <= 0 or not memories:
        return list(memories)
    around = [len(block(replace(shown, text=""))) + _margin(shown) for shown in memories]
    share = max(LEAST, _share([len(shown.memory.content) for shown in memories], max_chars - sum(around)))
    kept: list[Shown] = []
    left = max_chars
    for shown, size in zip(memories, around, strict=True):
        cut = replace(shown, text=passage(shown.memory.content, query, share))
        left -= size + len(cut.text)
        if left < 0 and kept:
            break
        if left < 0:
            cut = replace(shown, text=passage(shown.memory.content, query, max(max_chars - size, 40)))
        kept.append(cut)
    return kept


def _margin(shown: Shown) -> int:
    """Indentation, the blank between memories, and the note that a cut text gets."""
    return len(INDENT) * (shown.memory.content.count("\n") + 1) + 46


def _share(lengths: Sequence[int], room: int) -> int:
    """The length to which texts are cut so that all of them fit: short ones leave theirs to the others."""
    left, waiting = room, sorted(lengths)
    for position, length in enumerate(waiting):
        share = left // (len(waiting) - position)
        if length > share:
            return share
        left -= length
    return max(lengths, default=0)


def passage(text: str, query: str, size: int) -> str:
    """The `size` characters that hold most of the query's words, or its beginning; a short text itself."""
    if len(text) <= size:
        return text
    room = max(size - 2 * (len(_CUT) + 1), 20)
    start = _best_start(text, query, room)
    before, after = (f"{_CUT} " if start else ""), (f" {_CUT}" if start + room < len(text) else "")
    return f"{before}{text[start : start + room].strip()}{after}"


def _best_start(text: str, query: str, room: int) -> int:
    words = {word for word in _WORD.findall(query.casefold()) if len(word) > 2}
    places = [(match.start(), match[0]) for match in _WORD.finditer(text.casefold()) if match[0] in words]
    if not places:
        return 0
    best, chosen = -1.0, 0
    for start, _ in places[:200]:
        inside = [word for place, word in places if start <= place < start + room]
        value = sum(len(word) for word in set(inside)) + len(inside) / 100
        if value > best:
            best, chosen = value, start
    start = max(0, min(chosen - room // 4, len(text) - room))
    space = text.find(" ", start, start + 40) if start else -1
    return space + 1 if space > 0 else start


def blocks(headline: str, memories: Sequence[Shown], *, left_out: int = 0) -> str:
    """The headline, then a block for each memory."""
    parts = [headline, *map(block, memories)]
    if left_out:
        parts.append(f"({left_out} more left out for length: max_response_chars)")
    return "\n".join(parts)
