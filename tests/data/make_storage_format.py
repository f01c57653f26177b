"""Make tests/data/storage-format-<n>.tar.gz: a small embedded store as this release writes it, kept for all later releases.

usage: python tests/data/make_storage_format.py      (from the repository's root, with tests/ on PYTHONPATH)
"""

from __future__ import annotations

import asyncio
import tarfile
import tempfile
from pathlib import Path

from mcp_memory.domain.memory import MemoryChanges
from mcp_memory.storage.qdrant_embedded import manifest
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from storage_samples import MODEL, collection

COUNT = 60


async def fill(path: Path) -> None:
    """Sixty memories, of which five are deleted and one is updated."""
    storage = QdrantEmbeddedStorage(EmbeddedOptions(path, MODEL, disk_reserve_bytes=0))
    await storage.initialize()
    items = collection(COUNT)
    await storage.upsert(items)
    await storage.delete([item.memory.content_hash for item in items[:5]])
    await storage.update(items[5].memory.content_hash, MemoryChanges(tags=("updated",), metadata={"more": 0.1 + 0.2}))
    await storage.close()


def pack(path: Path, archive: Path) -> None:
    """Owner and times left out; the engine's own lock and log too."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if Path(entry.name).name.startswith("engine."):
            return None
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(archive, "w:gz", compresslevel=9) as target:
        target.add(path, "store", filter=plain)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(fill(Path(folder) / "store"))
        pack(Path(folder) / "store", Path(__file__).with_name(f"storage-format-{manifest.FORMAT}.tar.gz"))
