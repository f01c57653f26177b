"""What can be asked of a storage: filters, search queries, pages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mcp_memory.domain.memory import Memory

if TYPE_CHECKING:
    from mcp_memory.domain.memory import Vector


class SearchMode(StrEnum):
    """How a text finds memories.

    hybrid: meaning and words, `cosine + 0.6 * BM25 / best BM25`; semantic: meaning; keyword: BM25;
    exact: case-insensitive substring.
    """

    HYBRID = "hybrid"
    SEMANTIC = "semantic"
    KEYWORD = "keyword"
    EXACT = "exact"


class TagMatch(StrEnum):
    ANY = "any"
    ALL = "all"


class FacetField(StrEnum):
    """A field whose values can be counted."""

    TAGS = "tags"
    MEMORY_TYPE = "memory_type"
    STORE = "store"

    def values_of(self, memory: Memory) -> tuple[str, ...]:
        """The field's values of one memory: none where it has no type."""
        match self:
            case FacetField.TAGS:
                return memory.tags
            case FacetField.MEMORY_TYPE:
                return () if memory.memory_type is None else (memory.memory_type,)
            case FacetField.STORE:
                return (memory.store,)


@dataclass(frozen=True, slots=True)
class MemoryFilter:
    """Conditions that all hold. An empty filter matches everything.

    The time range is half-open: `created_from <= created_at < created_to`, UTC seconds. `store` None means every store.
    """

    tags: tuple[str, ...] = ()
    tag_match: TagMatch = TagMatch.ANY
    memory_type: str | None = None
    created_from: float | None = None
    created_to: float | None = None
    store: str | None = None
    current_only: bool = False
    """Without memories that a newer one superseded."""
    superseded_by: str | None = None
    """Only memories that the one of this hash superseded."""

    @property
    def empty(self) -> bool:
        return self == MemoryFilter(tag_match=self.tag_match, current_only=self.current_only)

    def matches(self, memory: Memory) -> bool:
        """The meaning of the filter in plain Python: the model that every backend is tested against."""
        tags = set(memory.tags)
        wanted = set(self.tags)
        return (
            (not wanted or (wanted <= tags if self.tag_match is TagMatch.ALL else bool(wanted & tags)))
            and (self.memory_type is None or memory.memory_type == self.memory_type)
            and (self.created_from is None or memory.created_at >= self.created_from)
            and (self.created_to is None or memory.created_at < self.created_to)
            and (self.store is None or memory.store == self.store)
            and not (self.current_only and memory.superseded_by is not None)
            and (self.superseded_by is None or memory.superseded_by == self.superseded_by)
        )


EVERYTHING = MemoryFilter()


@dataclass(frozen=True, slots=True, eq=False)
class SearchQuery:
    """A search. `vector` (float32[d], L2-normalised) is given for hybrid and semantic, `text` for all modes.

    Without text and vector the newest memories that match the filter are the answer.
    `min_similarity` is a bound on ScoredMemory.similarity_score. `exclude` is a content hash to leave out (similar-to).
    `exact_scan` asks for an exhaustive comparison instead of an index (for measuring recall).
    """

    mode: SearchMode = SearchMode.HYBRID
    text: str | None = None
    vector: Vector | None = None
    where: MemoryFilter = EVERYTHING
    limit: int = 10
    min_similarity: float | None = None
    exclude: str | None = None
    exact_scan: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """Position in a listing ordered by (created_at descending, id ascending): the last memory already given."""

    created_at: float
    id: str

    def encode(self) -> str:
        return f"{self.created_at!r}_{self.id}"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of memories, newest first; `next` is None at the end."""

    memories: list[Memory]
    next: Cursor | None
