"""Data that an empty store could be filled from: told at start-up and by `memory doctor`, with the command that does it."""

from __future__ import annotations

from pathlib import Path

from mcp_memory.config import Backend, Settings, base_directory


def older_stores(settings: Settings) -> list[str]:
    """A notice for each store that lies beside the embedded one of these settings. Ask only where that one is empty."""
    if settings.backend is not Backend.QDRANT or settings.qdrant_url is not None:
        return []
    target = settings.qdrant_path
    files = dict.fromkeys(
        (settings.sqlite_file, settings.base_dir / "sqlite_vec.db", base_directory() / "sqlite_vec.db")
    )
    folders = dict.fromkeys((target, settings.base_dir / "qdrant", base_directory() / "qdrant"))
    notices = [_sqlite(file, target) for file in files if file.is_file()]
    notices += [_qdrant_client(folder, target) for folder in folders if _is_qdrant_client(folder)]
    notices += [
        _ours(folder, target) for folder in folders if folder != target and (folder / "manifest.json").is_file()
    ]
    return notices


def _sqlite(file: Path, target: Path) -> str:
    return (
        f"The store {target} is empty, and the sqlite_vec backend's memories are in {file}. To bring them in:\n"
        f"  memory migrate sqlite --source '{file}' --target '{target}'"
    )


def _is_qdrant_client(folder: Path) -> bool:
    return (folder / "meta.json").is_file() and (folder / "collection").is_dir()


def _qdrant_client(folder: Path, target: Path) -> str:
    return (
        f"The folder {folder} holds memories in the format of qdrant-client's local mode. To bring them in:\n"
        f"  memory migrate sqlite --source '{folder}' --target '{target if target != folder else f'{target}-embedded'}'"
    )


def _ours(folder: Path, target: Path) -> str:
    return (
        f"The store {target} is empty, and there is another one in {folder}. To bring it in:\n"
        f"  MCP_QDRANT_STORAGE_PATH='{folder}' memory export memories.jsonl && memory import memories.jsonl\n"
        f"or use that one:  export MCP_QDRANT_STORAGE_PATH='{folder}'"
    )
