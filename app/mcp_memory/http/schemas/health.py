"""Health, statistics, tags and types."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class StorageHealthOut(BaseModel):
    backend: str
    status: Literal["healthy", "unhealthy"]
    collections: int
    vector_dimensions: int


class HealthOut(BaseModel):
    """200 with `ok`, or 503 with `degraded`."""

    status: Literal["ok", "degraded"]
    storage: StorageHealthOut


class DetailedHealthOut(BaseModel):
    """Figures for operators; the original service's keys, and `build`."""

    status: Literal["healthy", "degraded"]
    version: str
    timestamp: str
    uptime_seconds: float
    storage: dict[str, Any]
    system: dict[str, Any]
    performance: dict[str, Any]
    statistics: dict[str, Any]
    build: dict[str, str]


class ModelHealthOut(BaseModel):
    """`embedding_model`, `embedding_dimension` and `backend` are what the original service calls them."""

    status: Literal["healthy"]
    embedding_model: str
    embedding_dimension: int
    backend: str
    model: str
    dimensions: int
    fingerprint: str


class StorageStatsOut(BaseModel):
    """Counts are of memories; sizes are bytes."""

    vectors_count: int
    indexed_vectors_count: int
    disk_data_size: int
    ram_data_size: int
    details: dict[str, Any] = Field(description="What the backend knows besides: index kind, quantization, ...")


class TagCountOut(BaseModel):
    tag: str
    count: int


class TagsOut(BaseModel):
    tags: list[TagCountOut]


class ProbeOut(BaseModel):
    status: str
