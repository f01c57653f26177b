"""The engine process: `python -m mcp_memory.storage.qdrant_embedded.engine OPTIONS`, OPTIONS as JSON; started by clients.

It exits with 0 when its clients are gone, with 75 (EX_TEMPFAIL) where another engine has the folder.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

import msgspec

from mcp_memory.domain.errors import MemoryServiceError, StorageError
from mcp_memory.storage.qdrant_embedded.address import default_transport, forget, listen
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder
from mcp_memory.storage.qdrant_embedded.lock import FolderLock
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions
from mcp_memory.storage.qdrant_embedded.server import EngineServer
from mcp_memory.storage.qdrant_embedded.store import OpenStore

EX_TEMPFAIL = 75
LOCK_SECONDS = 5.0
log = logging.getLogger(__name__)


def encode_options(options: EmbeddedOptions) -> str:
    return msgspec.json.encode(options, enc_hook=str).decode()


def decode_options(text: str) -> EmbeddedOptions:
    return msgspec.json.decode(text, type=EmbeddedOptions, dec_hook=lambda _, value: Path(value))


def _wait_for_lock(folder: StorageFolder) -> FolderLock | None:
    """The folder's lock, also where an engine is just closing; None where it serves on."""
    deadline = time.monotonic() + LOCK_SECONDS
    while (lock := FolderLock.try_acquire(folder.lock)) is None and time.monotonic() < deadline:
        time.sleep(0.02)  # flock can't be waited for with a time limit
    return lock


def main(arguments: list[str]) -> int:
    os.umask(0o077)
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(message)s", stream=sys.stderr
    )
    options = decode_options(arguments[0])
    folder = StorageFolder(options.path)
    lock = _wait_for_lock(folder)
    if lock is None:
        return EX_TEMPFAIL
    listener, address = listen(folder, options.transport or default_transport())
    try:
        opened: OpenStore | MemoryServiceError = OpenStore.open(options)
    except MemoryServiceError as error:
        opened = error
    except Exception as error:  # qdrant-edge raises bare Exception; the clients must hear why
        log.exception("can't open %s", options.path)
        opened = StorageError(f"The engine can't open the storage folder {options.path}: {error}")
    EngineServer(listener, address.token, opened).run()
    forget(folder, address)
    if isinstance(opened, OpenStore):
        opened.close()
    lock.let_go()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
