"""Names of storage backends: ours, the ways in which people write them, and those of the original that aren't here."""

from __future__ import annotations

import difflib

_OURS = ("qdrant", "sqlite_vec")
_SPELLINGS = {"sqlitevec": "sqlite_vec", "sqlite": "sqlite_vec", "qdrant_embedded": "qdrant", "qdrant_server": "qdrant"}
_ELSEWHERE = {
    "hybrid": (
        "the original's hybrid backend keeps a whole copy here, in its SQLite file. Set MCP_MEMORY_STORAGE_BACKEND=qdrant and "
        "bring that in:  memory migrate sqlite --source /path/to/sqlite_vec.db"
    ),
    "cloudflare": (
        "memories at Cloudflare are brought here by way of the original: start it once with its hybrid backend, which copies "
        "them into a SQLite file, then set MCP_MEMORY_STORAGE_BACKEND=qdrant and bring that in:  "
        "memory migrate sqlite --source /path/to/sqlite_vec.db"
    ),
    "chroma": (
        "the original moved from Chroma to SQLite itself. Migrate with it first, then set MCP_MEMORY_STORAGE_BACKEND=qdrant "
        "and bring its file in:  memory migrate sqlite --source /path/to/sqlite_vec.db"
    ),
    "milvus": (
        "export the memories with the original as JSON, then set MCP_MEMORY_STORAGE_BACKEND=qdrant and bring the file in:  "
        "memory migrate sqlite --source /path/to/export.json"
    ),
}


def backend_of(name: str) -> str:
    """The backend that a name means. Raises ValueError with the next step where there is none."""
    text = name.strip().lower().replace("-", "_")
    text = _SPELLINGS.get(text, text)
    if text in _OURS:
        return text
    for known, step in _ELSEWHERE.items():
        if text.startswith(known):
            raise ValueError(f"there is no backend {known} here: {step}")
    near = difflib.get_close_matches(text, _OURS, 1)
    raise ValueError(
        (f"did you mean {near[0]}? " if near else "")
        + "Use qdrant (embedded, or a server with MCP_QDRANT_URL), or sqlite_vec for rollback and comparison"
    )
