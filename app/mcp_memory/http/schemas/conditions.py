"""The conditions that searching and deleting share."""

from __future__ import annotations

from pydantic import Field

from mcp_memory.domain.memory import DEFAULT_STORE
from mcp_memory.http.schemas.common import StoreName, Tags
from mcp_memory.http.schemas.strict import RequestBody
from mcp_memory.memories.requests import Conditions


class ConditionsIn(RequestBody):
    """What memories must meet: all that is given."""

    tags: Tags = None
    tag_match: str = Field("any", description="any or all")
    memory_type: str | None = None
    after: str | float | None = Field(None, description="From this time on: ISO date, UTC seconds or words")
    before: str | float | None = Field(None, description="Before this time")
    time_expr: str | None = Field(None, examples=["last week"])
    store: StoreName = DEFAULT_STORE

    def conditions(self) -> Conditions:
        return Conditions(
            tags=self.tags,
            tag_match=self.tag_match,
            memory_type=self.memory_type,
            after=self.after,
            before=self.before,
            time_expr=self.time_expr,
            store=self.store,
        )
