"""A file of something else, told apart before anything is done to it: opened, given another mode, or a folder beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from mcp_memory.domain.errors import StorageFormatError

_MAGIC = b"SQLite format 3\0"
_ELSEWHERE = "It is left as it is.\nSet MCP_MEMORY_SQLITE_PATH to another file."


def refuse_foreign(path: Path) -> None:
    """Raises StorageFormatError for a file that is no SQLite database, or one of another program. Leaves no trace of looking.

    What can't be read here is passed: who opens it says why.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except OSError:
        return
    if not start:
        return
    if start != _MAGIC:
        raise StorageFormatError(f"{path} is not an SQLite database. {_ELSEWHERE}")
    tables = _tables(path)
    if tables and "memories" not in tables:
        raise StorageFormatError(
            f"{path} is an SQLite database of something else (tables: {', '.join(sorted(tables)[:5])}). {_ELSEWHERE}"
        )


def _tables(path: Path) -> set[str]:
    """As the file itself has them. Opened the ordinary way, a database in WAL mode would be written to."""
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True)
        ) as connection:
            rows = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
    except sqlite3.Error:
        return set()
    return {str(name) for (name,) in rows}
