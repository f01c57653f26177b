"""Searches and their answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import BaseModel, Field

from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.http.schemas.common import MemoryOut, StoreName, Tags
from mcp_memory.http.schemas.conditions import ConditionsIn
from mcp_memory.http.schemas.strict import RequestBody
from mcp_memory.memories.requests import Conditions

Limit = Annotated[int, Field(ge=1, le=100)]
Threshold = Annotated[float, Field(ge=0, le=1, description="Least similarity_score of a result")]


class SearchIn(ConditionsIn):
    """A search. Without a query the newest memories under the conditions are the answer."""

    query: str | None = Field(None, examples=["when do we deploy?"])
    n_results: Limit | None = Field(None, description="10 unless given")
    mode: str = Field("hybrid", description="hybrid (meaning and words), semantic, keyword (BM25) or exact (substring)")
    similarity_threshold: Threshold | None = None
    include_superseded: bool = Field(False, description="Also memories that a newer one replaced")
    quality_boost: bool | None = Field(None, description="Accepted from older clients; changes nothing")
    quality_weight: float | None = Field(None, description="Accepted from older clients; changes nothing")
    limit: Limit | None = Field(None, description="As n_results, from the original service's dashboard")
    threshold: Threshold | None = Field(None, description="As similarity_threshold, from the same")

    def conditions(self) -> Conditions:
        return replace(super().conditions(), include_superseded=self.include_superseded)


class TagSearchIn(RequestBody):
    tags: Tags
    match_all: bool = False
    time_filter: str | None = Field(None, description="Since then: `yesterday` includes today", examples=["last month"])
    limit: Limit | None = Field(None, description="At most so many, the newest; all unless given")
    query: str | None = Field(None, description="Accepted from older clients; changes nothing")
    store: StoreName = DEFAULT_STORE
    include_superseded: bool = Field(False, description="Also memories that a newer one replaced")


class TimeSearchIn(RequestBody):
    query: str = Field(
        description="A time in words, also in a sentence: what the sentence says besides ranks the memories",
        examples=["last week"],
    )
    n_results: Limit = 10
    semantic_query: str | None = Field(None, description="Rank the memories of that time by this text")
    store: StoreName = DEFAULT_STORE
    include_superseded: bool = Field(False, description="Also memories that a newer one replaced")


class HitOut(BaseModel):
    """A result. `score` orders the answer; `similarity_score` is 0 to 1 with unrelated = 0.5, null where no text took part."""

    memory: MemoryOut
    similarity_score: float | None
    relevance_reason: str
    score: float


class SearchOut(BaseModel):
    results: list[HitOut]
    total_found: int = Field(description="How many match, shown or not; of a ranked search the results shown")
    query: str
    search_type: str
    processing_time_ms: float
