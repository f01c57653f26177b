"""Which source a path is."""

from __future__ import annotations

from pathlib import Path

from mcp_memory.migration.sources.base import Source, SourceError
from mcp_memory.migration.sources.json_export import JsonExportSource
from mcp_memory.migration.sources.qdrant_local import META_FILE, QdrantLocalSource
from mcp_memory.migration.sources.snapshot import MAGIC
from mcp_memory.migration.sources.sqlite import SqliteSource

_KINDS = (
    "a database of the original service (sqlite_vec.db), its JSON export, or a folder that qdrant-client wrote "
    "(with meta.json)"
)


def source_at(path: Path) -> Source:
    """The source that a path is, not opened yet. Raises SourceError that says what is there instead."""
    path = path.expanduser()
    try:
        if path.is_dir():
            return _in_folder(path)
        with path.open("rb") as file:
            start = file.read(4096)
    except FileNotFoundError:
        raise SourceError(f"There is nothing at {path}. A source is {_KINDS}.") from None
    except OSError as error:
        raise SourceError(f"Can't read {path}: {error.strerror or error}.") from error
    if start.startswith(MAGIC):
        return SqliteSource(path)
    if start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        return JsonExportSource(path)
    what = "empty" if not start else "neither an SQLite database nor JSON"
    raise SourceError(f"{path} is {what}. A source is {_KINDS}.")


def is_qdrant_local(path: Path) -> bool:
    """Whether a folder is one of qdrant-client's local mode."""
    return (path / META_FILE).is_file()


def _in_folder(path: Path) -> Source:
    if is_qdrant_local(path):
        return QdrantLocalSource(path)
    databases = sorted(file.name for file in path.glob("*.db") if file.is_file())
    hint = f" It holds {', '.join(databases)}: name the file." if databases else ""
    raise SourceError(f"{path} is a folder without meta.json.{hint} A source is {_KINDS}.")
