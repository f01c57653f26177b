"""Figures for dashboards, in the shapes of the original service."""

from __future__ import annotations

from pydantic import BaseModel, Field


class OverviewOut(BaseModel):
    total_memories: int
    memories_this_week: int
    memories_this_month: int
    unique_tags: int
    database_size_mb: float | None = Field(description="Of all stores together")
    uptime_seconds: float
    backend_type: str


class TagUsageEntry(BaseModel):
    tag: str
    count: int
    percentage: float
    growth_rate: float | None = Field(description="Always null: no history is kept")


class TagUsageOut(BaseModel):
    tags: list[TagUsageEntry]
    total_memories: int
    period: str


class TypeCount(BaseModel):
    memory_type: str
    count: int
    percentage: float


class MemoryTypesOut(BaseModel):
    types: list[TypeCount]
    total_memories: int


class TagStatistics(BaseModel):
    tag: str
    count: int
    last_used: float | None = Field(description="Always null, as in the original")
    memory_types: list[str] = Field(description="Always empty, as in the original")


class TagStatisticsOut(BaseModel):
    tags: list[TagStatistics]
    total_tags: int
