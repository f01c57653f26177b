"""Operations of the original service that aren't here: each answers 501 and says in words what to use instead.

The table is documented in docs/connecting.md, which a test holds to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.routing import Route

from mcp_memory.http.answers import Json
from mcp_memory.http.errors import problem


@dataclass(frozen=True, slots=True)
class Group:
    """Operations with one answer: `METHOD /path`, and what to use here."""

    operations: tuple[str, ...]
    instead: str


_QUALITY = "/api/quality/memories/{content_hash}"
GROUPS: tuple[Group, ...] = (
    Group(
        (
            "GET /api/analytics/memory-growth",
            "GET /api/analytics/search-analytics",
            "GET /api/analytics/performance",
            "GET /api/analytics/activity-heatmap",
            "GET /api/analytics/activity-breakdown",
            "GET /api/analytics/storage-stats",
            "GET /api/memory-stats",
        ),
        "Use GET /api/health/detailed and GET /api/storage/stats for figures, and GET /metrics for what changes over time.",
    ),
    Group(
        ("GET /api/analytics/top-tags",),
        "Use GET /api/analytics/tag-usage, which counts the memories of every tag.",
    ),
    Group(
        (
            "GET /api/analytics/relationship-types",
            "GET /api/analytics/graph-visualization",
            "GET /api/conflicts",
            "POST /api/conflicts/resolve",
            "POST /api/memories/resonance-search",
        ),
        "No graph of memories is kept; GET /api/search/similar/{content_hash} finds what is near to one.",
    ),
    Group(
        ("GET /api/backup/status", "POST /api/backup/now", "GET /api/backup/list"),
        "Use POST /api/backup, which gives everything as JSON lines, or `memory backup` beside the store.",
    ),
    Group(
        (
            "GET /api/sync/status",
            "GET /api/sync/capabilities",
            "GET /api/sync/events",
            "POST /api/sync/events",
            "GET /api/sync/baseline",
            "POST /api/sync/force",
            "POST /api/sync/pause",
            "POST /api/sync/resume",
            "POST /api/sync/tombstone-conflicts/{content_hash}",
            "GET /api/health/sync-status",
        ),
        "Stores aren't synchronised: let every machine use one service, or move memories with `memory export` and "
        "`memory import`.",
    ),
    Group(
        (
            "POST /api/documents/upload",
            "POST /api/documents/batch-upload",
            "GET /api/documents/status/{upload_id}",
            "GET /api/documents/history",
            "GET /api/documents/search-content/{upload_id}",
            "DELETE /api/documents/remove/{upload_id}",
            "DELETE /api/documents/remove-by-tags",
            "POST /api/harvest",
        ),
        "Documents aren't cut up here: store their parts with POST /api/memories/bulk, and delete them by their tag with "
        "POST /api/memories/delete.",
    ),
    Group(
        (
            f"GET {_QUALITY}",
            f"POST {_QUALITY}/rate",
            f"POST {_QUALITY}/evaluate",
            "GET /api/quality/distribution",
            "GET /api/quality/trends",
        ),
        "Memories aren't rated. A rating of your own can be kept in the metadata: PUT /api/memories/{content_hash}.",
    ),
    Group(
        (
            "POST /api/consolidation/trigger",
            "GET /api/consolidation/status",
            "GET /api/consolidation/recommendations/{time_horizon}",
        ),
        "Nothing is consolidated or forgotten by itself; POST /api/manage/cleanup-duplicates removes duplicates.",
    ),
    Group(
        (
            "GET /api/config/env",
            "GET /api/config/credentials",
            "POST /api/config/credentials",
            "POST /api/config/credentials/test",
            "GET /api/config/quality",
            "POST /api/config/quality",
        ),
        "Settings are environment variables (docs/configuration.md), and no request shows or changes them; `memory doctor` "
        "checks them.",
    ),
    Group(
        (
            "GET /api/server/status",
            "GET /api/server/version/check",
            "POST /api/server/restart",
            "POST /api/server/update",
        ),
        "Use GET /api/health/detailed for state and version. Start, stop and update it where it runs (systemd, compose, Helm).",
    ),
    Group(
        ("GET /api/events", "GET /api/events/stats", "POST /api/events/ticket"),
        "No events are sent: ask GET /api/memories with `after` for what is new.",
    ),
    Group(
        ("GET /api/manage/untagged/count", "POST /api/manage/delete-untagged", "PUT /api/manage/tags/{old_tag}"),
        "List memories with GET /api/memories, and change tags with PUT /api/memories/{content_hash}.",
    ),
    Group(
        ("POST /api/manage/system/{operation}", "POST /api/clear-caches"),
        "Use POST /api/manage/cleanup-duplicates for duplicates and `memory optimize` for indexes; no cache needs clearing.",
    ),
    Group(
        ("POST /api/sessions",),
        "Store the turns as one text with POST /api/memories, `memory_type` session and the tag session:<id>.",
    ),
    Group(
        ("GET /mcp/tools", "GET /mcp/health"),
        "Ask POST /mcp for tools/list, and GET /api/health whether the service answers.",
    ),
    Group(
        ("GET /api/oauth/status", "GET /api/languages", "GET /api-overview"),
        "There is no dashboard and no OAuth; GET /api/docs describes the API, and a key opens it.",
    ),
)


def routes() -> list[Route]:
    """A route for each operation, in no description of the API."""
    return [_route(operation, group.instead) for group in GROUPS for operation in group.operations]


def _route(operation: str, instead: str) -> Route:
    method, path = operation.split(" ")

    async def answer(_: Request) -> Json:
        message = f"{method} {path} of mcp-memory-service isn't here. {instead}"
        return problem(501, "not_implemented", message)

    return Route(path, answer, methods=[method], include_in_schema=False, name=f"not here: {method} {path}")
