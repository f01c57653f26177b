"""What callers ask of the use cases, and what they get: plain values, as close to the wire as all three ways in allow.

Fields that a person may write in several forms (tags, times) arrive as written; the use case parses and checks them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.memory import DEFAULT_STORE, JsonValue, Memory, ScoredMemory
from mcp_memory.domain.query import Cursor

RawTags: TypeAlias = str | Sequence[str] | None
"""A list, a comma-separated string, or a JSON array as a string."""
RawTime: TypeAlias = str | float | None
"""An ISO date or date-time, UTC seconds, or words ("yesterday", "2 hours ago")."""


@dataclass(frozen=True, slots=True)
class NewMemory:
    """A memory to store. Times and hash are given by import and migration only."""

    content: str
    tags: RawTags = None
    memory_type: str | None = None
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    store: str = DEFAULT_STORE
    created_at: float | None = None
    updated_at: float | None = None
    content_hash: str | None = None
    agent_id: str | None = None
    """Who stores it: kept as `metadata.agent_id` and found by the tag `agent:<id>`. Else what the metadata says counts."""
    hostname: str | None = None
    """The machine that a client says it runs on: kept as `metadata.hostname` and as the tag `source:<host>`."""


class StoreStatus(StrEnum):
    STORED = "stored"
    DUPLICATE = "duplicate"
    """The same hash is there. The stored memory is unchanged."""
    SIMILAR = "similar"
    """A stored memory means nearly the same (semantic duplicate check)."""
    INVALID = "invalid"
    """Bulk store only: this item broke a rule; the others went on."""


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What became of one memory. `memory` is the stored one, new or old; None for INVALID.

    `similar` are current memories that mean nearly the same, where they were asked for; `replaced` is the hash of the memory
    that this one superseded.
    """

    status: StoreStatus
    message: str
    memory: Memory | None
    similar: tuple[ScoredMemory, ...] = ()
    replaced: str | None = None

    @property
    def stored(self) -> bool:
        return self.status is StoreStatus.STORED


@dataclass(frozen=True, slots=True)
class Changes:
    """What an update changes; None or nothing leaves a part. `tags` replace all there are; `store` moves the memory."""

    tags: RawTags = None
    memory_type: str | None = None
    metadata: Mapping[str, JsonValue] | None = None
    add_tags: RawTags = None
    remove_tags: RawTags = None
    store: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateAnswer:
    """The changed memories as they are now, and the hashes that named none."""

    changed: list[Memory]
    missing: list[str]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Which memories: all given conditions hold. `store` "all" or None means every store.

    Superseded memories are left out unless `include_superseded`; a deletion always takes them along.

    `time_expr` is a natural-language range ("last week", "in March") on created_at; `after` is inclusive, `before` exclusive.
    """

    tags: RawTags = None
    tag_match: str = "any"
    memory_type: str | None = None
    after: RawTime = None
    before: RawTime = None
    time_expr: str | None = None
    store: str | None = DEFAULT_STORE
    open_ended: bool = False
    """`time_expr` says since when, not until when: "yesterday" includes today."""
    include_superseded: bool = False


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search; without `query` the newest memories under the conditions. `limit` 1 to 100."""

    query: str | None = None
    mode: str = "hybrid"
    conditions: Conditions = Conditions()
    limit: int = 10
    similarity_threshold: float | None = None


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """Hits, best first. `mode` is "time" or "tag" where no text took part.

    `total` is how many memories match: all that meet the conditions or, where a text ranked them, the hits.
    """

    hits: list[ScoredMemory]
    mode: str
    query: str
    milliseconds: float
    total: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A page, newest first, with the number of all memories under the conditions."""

    memories: list[Memory]
    total: int
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class ForgetAnswer:
    """What was deleted or, in a dry run, would be. `hashes` names at most 1,000 of them.

    `preview` are the first of them, newest first; `predecessors` are hashes of memories that deleted ones had superseded and
    that stay stored, left out of results.
    """

    count: int
    hashes: list[str]
    dry_run: bool
    preview: list[Memory] = field(default_factory=list)
    predecessors: list[str] = field(default_factory=list)


class UnconfirmedError(InvalidInputError):
    """More memories meet the conditions of a deletion than the caller may have thought; `first` are some of them."""

    def __init__(self, count: int, first: Sequence[Memory]) -> None:
        super().__init__(
            f"{count:,} memories meet these conditions: nothing was deleted. Look at them with dry_run=true; "
            f"to delete them all, call again with expect={count}.",
            field="expect",
        )
        self.count = count
        self.first = first


@dataclass(frozen=True, slots=True)
class CleanupReport:
    """Duplicates that were removed or, in a dry run, would be. `hashes` names at most 1,000 of them."""

    count: int
    hashes: list[str]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class RejectedItem:
    """An item of an import that broke a rule: its position in the call, which field, and why."""

    index: int
    message: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a batch: new ones, ones that were there (kept as they were), overwritten ones, refused ones."""

    imported: int
    existed: int
    overwritten: int
    rejected: list[RejectedItem]


@dataclass(frozen=True, slots=True)
class RecallReport:
    """recall@k of the index against an exact scan, over sampled memories used as queries."""

    samples: int
    k: int
    recall: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures about the whole collection."""

    total_memories: int
    unique_tags: int
    memories_this_week: int
    stores: Mapping[str, int]
    backend: str
    embedding_model: str
    embedding_dimension: int
    disk_data_size: int
