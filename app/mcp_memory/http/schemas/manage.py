"""Work on many memories at a time."""

from __future__ import annotations

from pydantic import BaseModel, Field

from mcp_memory.http.schemas.strict import RequestBody


class BulkDeleteIn(RequestBody):
    """What to delete; at least one of tag, before_date and memory_type. Applies to every store."""

    tag: str | None = Field(None, description="One tag, exactly as it is written")
    before_date: str | None = Field(None, description="ISO date: memories created before it", examples=["2025-01-31"])
    memory_type: str | None = None
    confirm_count: int | None = Field(
        None, ge=0, le=2**53, description="Deletes only when exactly so many memories match"
    )
    dry_run: bool = Field(False, description="Only count what would be deleted", examples=[True])


class OperationOut(BaseModel):
    success: bool
    message: str
    affected_count: int
    operation: str
