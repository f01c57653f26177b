"""Which resources there are, in plain Python: the stdio bridge lists them while its owner starts."""

from __future__ import annotations

from typing import Any

JSON = "application/json"
MAX_RECENT = 100

RESOURCES: list[dict[str, Any]] = [
    {
        "uri": "memory://stats",
        "name": "stats",
        "title": "Statistics",
        "description": "How many memories, tags and stores there are, and their size",
        "mimeType": JSON,
    },
    {
        "uri": "memory://tags",
        "name": "tags",
        "title": "Tags",
        "description": "Every tag with its number of memories, most frequent first",
        "mimeType": JSON,
    },
    {
        "uri": "memory://recent/10",
        "name": "recent",
        "title": "Recent memories",
        "description": "The ten newest memories",
        "mimeType": JSON,
    },
]
TEMPLATES: list[dict[str, Any]] = [
    {
        "uriTemplate": "memory://recent/{n}",
        "name": "recent",
        "title": "Recent memories",
        "description": f"The n newest memories, 1 to {MAX_RECENT}",
        "mimeType": JSON,
    }
]
