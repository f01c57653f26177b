"""Storing, reading, changing and deleting memories."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.http.schemas.common import MemoryOut, StoreName, Tags
from mcp_memory.http.schemas.conditions import ConditionsIn
from mcp_memory.http.schemas.strict import RequestBody
from mcp_memory.memories.requests import Changes, NewMemory

BULK_LIMIT = 1000


class MemoryIn(RequestBody):
    """A memory to store. `restore_deleted` is accepted from older clients and changes nothing."""

    content: str = Field(description="The text", examples=["Deployments to production happen on Tuesdays"])
    tags: Tags = None
    memory_type: str | None = Field(None, examples=["decision"])
    metadata: dict[str, Any] | None = None
    store: StoreName = DEFAULT_STORE
    conversation_id: str | None = Field(
        None, description="Kept in the metadata; a memory of a conversation skips the semantic duplicate check"
    )
    client_hostname: str | None = Field(
        None, description="The client's machine: kept as `metadata.hostname` and as the tag `source:<host>`"
    )
    restore_deleted: bool = False

    def to_new(self, agent: str | None, host: str | None = None) -> NewMemory:
        """`agent` is the value of X-Agent-ID, `host` that of X-Client-Hostname."""
        metadata = dict(self.metadata or {})
        if self.conversation_id is not None:
            metadata["conversation_id"] = self.conversation_id
        return NewMemory(
            content=self.content,
            tags=self.tags,
            agent_id=agent,
            hostname=self.client_hostname or host,
            memory_type=self.memory_type,
            metadata=metadata,
            store=self.store,
        )


class StoreOut(BaseModel):
    """`success` is false for a duplicate, which is no error: `memory` is then the one that is stored."""

    success: bool
    message: str
    content_hash: str | None
    memory: MemoryOut | None
    status: Literal["stored", "duplicate", "similar", "invalid"] | None = None


class BulkIn(RequestBody):
    memories: Annotated[list[MemoryIn], Field(min_length=1, max_length=BULK_LIMIT)]
    skip_invalid: bool = Field(
        True, description="Store the others where an item breaks a rule; false refuses them all (422)"
    )


class BulkItemOut(BaseModel):
    status: Literal["stored", "duplicate", "similar", "invalid"]
    message: str
    content_hash: str | None


class BulkOut(BaseModel):
    """One result for each item, in order."""

    success: bool = Field(description="True when no item was invalid")
    stored: int
    duplicates: int
    invalid: int
    results: list[BulkItemOut]


class MemoryChangesIn(RequestBody):
    """What to change. Tags replace; metadata is merged key by key; what is left out stays."""

    tags: Tags = None
    add_tags: Tags = None
    remove_tags: Tags = None
    memory_type: str | None = None
    metadata: dict[str, Any] | None = None
    store: str | None = Field(
        None, description="The store to move to; where a memory is now, the query parameter `store` says"
    )
    preserve_timestamps: bool = False

    @property
    def changes(self) -> Changes:
        return Changes(self.tags, self.memory_type, self.metadata, self.add_tags, self.remove_tags, self.store)


class ManyChangesIn(MemoryChangesIn):
    """The same changes for each of 1 to 1,000 memories."""

    hashes: Annotated[list[str], Field(max_length=10_000, examples=[["a" * 64]])]


class UpdateOut(BaseModel):
    success: bool
    message: str
    content_hash: str
    memory: MemoryOut


class ManyUpdatedOut(BaseModel):
    """`success` is true when every hash named a memory. The others are changed all the same."""

    success: bool
    message: str
    updated: int
    hashes: list[str] = Field(description="The changed memories")
    missing: list[str] = Field(description="Hashes that name no memory of this store")


class DeleteOut(BaseModel):
    success: bool
    message: str
    content_hash: str


class ForgetIn(ConditionsIn):
    """What to delete: the named hashes, or everything that meets all conditions. A store alone is not a condition."""

    hashes: Annotated[list[str], Field(max_length=10_000)] | None = None
    dry_run: bool = Field(False, description="Only count what would be deleted", examples=[True])


class ForgetOut(BaseModel):
    success: bool
    message: str
    count: int
    hashes: list[str] = Field(description="At most 1,000 of them")
    dry_run: bool


class MemoryPageOut(BaseModel):
    """A page, newest first. `next_cursor` goes into `cursor` of the next request and stays right while memories arrive."""

    memories: list[MemoryOut]
    total: int
    page: int
    page_size: int
    total_pages: int
    has_more: bool
    next_cursor: str | None


class HashesOut(BaseModel):
    """`next_cursor` is a whole number below 2**53."""

    hashes: list[str]
    next_cursor: int | None
    has_more: bool
