"""The engine process: `python -m mcp_memory.storage.qdrant_embedded.engine OPTIONS`, OPTIONS as JSON; started by clients.

It exits with 0 when its clients are gone, with 75 (EX_TEMPFAIL) where another engine has the folder.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time

from mcp_memory.domain.errors import MemoryServiceError, StorageError
from mcp_memory.storage.qdrant_embedded import manifest as manifests
from mcp_memory.storage.qdrant_embedded.address import Address, default_transport, forget, listen, read_address
from mcp_memory.storage.qdrant_embedded.collection import Collection
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder
from mcp_memory.storage.qdrant_embedded.launch import EX_TEMPFAIL
from mcp_memory.storage.qdrant_embedded.lock import FolderLock
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions, decode_options
from mcp_memory.storage.qdrant_embedded.pages import let_go_of_pages
from mcp_memory.storage.qdrant_embedded.server import EngineServer
from mcp_memory.storage.qdrant_embedded.store import OpenStore

log = logging.getLogger(__name__)


def prepare_process() -> None:
    """Private files, and a log that says when and who."""
    os.umask(0o077)
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(message)s", stream=sys.stderr
    )


def serve_as_successor(
    options: EmbeddedOptions, collection: Collection, descriptors: list[int], predecessor: socket.socket
) -> int:
    """Serve a generation that has just become the current one, with the lock and socket of the engine before."""
    folder = StorageFolder(options.path)
    address = read_address(folder)
    if len(descriptors) == 2 and address is not None:
        listener = socket.socket(fileno=descriptors[0])
        lock = FolderLock(folder.lock, descriptors[1])
        lock.sign()
    else:
        predecessor.recv(1)  # its end
        free = FolderLock.acquire(folder.lock)
        if free is None:
            return EX_TEMPFAIL  # another engine was quicker, and loads this generation
        lock = free
        listener, address = listen(folder, options.transport or default_transport())
    store = OpenStore(options, folder, manifests.read(folder.path), collection)
    removal = threading.Thread(target=_remove_old, args=(store, predecessor))
    removal.start()
    return _serve(folder, lock, listener, address, store, removal=removal)


def _remove_old(store: OpenStore, predecessor: socket.socket) -> None:
    """Delete the generation before this one as soon as its engine has ended."""
    with predecessor:
        while predecessor.recv(4096):
            pass
    store.folder.remove_leftovers(store.manifest.generations)


def _serve(
    folder: StorageFolder,
    lock: FolderLock,
    listener: socket.socket,
    address: Address,
    opened: OpenStore | MemoryServiceError,
    *,
    removal: threading.Thread | None = None,
) -> int:
    server = EngineServer(listener, lock, address.token, opened)
    server.run()
    if server.handed_over:
        # Lock, socket and folder belong to the successor; taking the old shard apart would keep clients waiting for the end.
        logging.shutdown()
        os._exit(0)
    forget(folder, address)
    if removal is not None:
        removal.join()
    if isinstance(opened, OpenStore):
        opened.close()
    lock.let_go()
    return 0


def main(arguments: list[str]) -> int:
    prepare_process()
    options = decode_options(arguments[0])
    folder = StorageFolder(options.path)
    lock = FolderLock.acquire(folder.lock)
    if lock is None:
        return EX_TEMPFAIL
    try:
        opened: OpenStore | MemoryServiceError = OpenStore.open(options)
        let_go_of_pages(folder.path)
    except MemoryServiceError as error:
        opened = error
    except Exception as error:  # qdrant-edge raises bare Exception; the clients must hear why
        log.exception("can't open %s", options.path)
        opened = StorageError(f"The engine can't open the storage folder {options.path}: {error}")
    # Not before: an engine that can be reached is one that answers at once, so clients may end one that doesn't.
    listener, address = listen(folder, options.transport or default_transport())
    return _serve(folder, lock, listener, address, opened)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
