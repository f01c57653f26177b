"""The process that makes the next generation and then serves it.

`python -m mcp_memory.storage.qdrant_embedded.builder OPTIONS PLAN [--build]`: without `--build` it starts itself with it, at low
priority, and waits. That child reads everything from the serving engine in small batches, like any client, into a new shard and
builds the graph. The parent, whose memory is fresh, loads the shard, replays what changed meanwhile until little is left, and
takes the folder over. Reading instead of copying the shard's folder costs some 10 s a 100,000 memories and needs no pause in
writing; it drops deleted points, and takes every change of format, quantization or index along.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator

import msgspec

from mcp_memory.domain.errors import StorageError
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.storage.qdrant_embedded.address import Address, read_address
from mcp_memory.storage.qdrant_embedded.collection import Collection
from mcp_memory.storage.qdrant_embedded.effort import measure_at_once
from mcp_memory.storage.qdrant_embedded.engine import prepare_process, serve_as_successor
from mcp_memory.storage.qdrant_embedded.failures import to_error
from mcp_memory.storage.qdrant_embedded.folder import StorageFolder
from mcp_memory.storage.qdrant_embedded.launch import start_process
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions, decode_options
from mcp_memory.storage.qdrant_embedded.plan import Plan
from mcp_memory.storage.qdrant_embedded.protocol import (
    HEADER,
    VERSION,
    Done,
    Failure,
    Get,
    HandOver,
    Hello,
    Ids,
    Record,
    Records,
    Request,
    Response,
    Scroll,
    Subscribe,
    TakeJournal,
    frame,
    response_decoder,
)
from mcp_memory.storage.qdrant_embedded.store import stored_model, vector_name
from mcp_memory.system.peers import check_peer

log = logging.getLogger(__name__)

BATCH = 64
"""Memories read from the serving engine at a time: of 256 with their vectors, others waited 40 ms behind each request."""
FLUSH_EVERY = 64
"""Batches between two flushes of the new shard: what isn't flushed makes the next one long."""
FEW = 64
ROUNDS = 20
"""Replay rounds until few changes are left (each is shorter than the one before), or at most so many."""
PR_SET_PDEATHSIG = 1


class BlockingWire:
    """A connection to the serving engine, one request at a time."""

    def __init__(self, address: Address) -> None:
        if address.socket is not None:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(address.socket)
            check_peer(self.sock, address.socket)
        else:
            self.sock = socket.create_connection(("127.0.0.1", address.port))
        self._number = 0

    def ask(self, request: Request) -> Response:
        """Raises the engine's error, and ConnectionError where it is gone."""
        self.send(request)
        return self._answer(self._receive(HEADER.size))

    def ask_for_descriptors(self, request: Request) -> tuple[Response, list[int]]:
        """As `ask`; open files may come with the answer."""
        self.send(request)
        if self.sock.family != socket.AF_UNIX:
            return self._answer(self._receive(HEADER.size)), []
        head, descriptors, _, _ = socket.recv_fds(self.sock, HEADER.size, 2)
        return self._answer(head + self._receive(HEADER.size - len(head))), descriptors

    def send(self, request: Request) -> None:
        self._number += 1
        self.sock.sendall(frame(self._number, request))

    def _answer(self, head: bytes) -> Response:
        length, _ = HEADER.unpack(head)
        response = response_decoder.decode(self._receive(length))
        if isinstance(response, Failure):
            raise to_error(response)
        return response

    def _receive(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            part = self.sock.recv(min(length - len(parts), 1 << 20))
            if not part:
                raise ConnectionResetError("the serving engine is gone")
            parts += part
        return bytes(parts)


def connect(options: EmbeddedOptions, plan: Plan) -> BlockingWire:
    folder = StorageFolder(options.path)
    address = read_address(folder)
    if address is None:
        raise StorageError(f"no engine serves {options.path}")
    wire = BlockingWire(address)
    wire.ask(Hello(VERSION, options.collection, stored_model(options), address.token))
    wire.ask(Subscribe(plan.generation))
    return wire


def everything(wire: BlockingWire) -> Iterator[list[Record]]:
    after: str | None = None
    while True:
        answer = wire.ask(Scroll(EVERYTHING, BATCH, after))
        if not isinstance(answer, Records) or not answer.records:
            return
        yield answer.records
        after = answer.records[-1].id


def build(options: EmbeddedOptions, plan: Plan) -> None:
    """The new shard, complete but for what changes while it is being built."""
    wire = connect(options, plan)
    collection = Collection.create(
        StorageFolder(options.path).generation(plan.generation),
        vector_name=vector_name(stored_model(options)),
        dimensions=options.model.dimensions,
        quantization=plan.quantization,
        graph=plan.graph,
    )
    for number, records in enumerate(everything(wire)):
        collection.copy_in(records)
        if number % FLUSH_EVERY == 0:
            collection.flush()
    collection.flush()
    wire.sock.close()
    collection.build_indexes()
    collection.close()


def succeed(options: EmbeddedOptions, plan: Plan) -> int:
    """Load the new shard, catch up, take over, serve."""
    collection = Collection.load(
        StorageFolder(options.path).generation(plan.generation),
        vector_name=vector_name(stored_model(options)),
        dimensions=options.model.dimensions,
        quantization=plan.quantization,
        graph=plan.graph,
        on_disk_payload=options.on_disk_payload,
    )
    collection.quantization = measure_at_once(collection)
    wire = connect(options, plan)
    for _ in range(ROUNDS):
        if replay(wire, collection, final=False)[0] <= FEW:
            break
    while not replay(wire, collection, final=True)[1]:
        pass
    die_with_parent(on=False)
    request = HandOver(plan.generation, collection.count(EVERYTHING), collection.quantization, plan.graph)
    answer, descriptors = wire.ask_for_descriptors(request)
    if not isinstance(answer, Done):
        raise StorageError(f"the serving engine answered {type(answer).__name__} to the hand-over")
    return serve_as_successor(options, collection, descriptors, wire.sock)


def replay(wire: BlockingWire, collection: Collection, *, final: bool) -> tuple[int, bool]:
    """Bring everything that changed to its present state; how many there were, and whether no more can come."""
    answer = wire.ask(TakeJournal(final=final))
    if not isinstance(answer, Ids):
        raise StorageError(f"the serving engine answered {type(answer).__name__} where changes were asked for")
    ids = answer.ids
    for start in range(0, len(ids), BATCH):
        part = ids[start : start + BATCH]
        found = wire.ask(Get(part, vectors=True))
        records = found.records if isinstance(found, Records) else []
        collection.copy_in(records)
        collection.delete(sorted(set(part) - {record.id for record in records}))
    collection.flush()
    return len(ids), answer.settled


def die_with_parent(*, on: bool) -> None:
    """An engine that is killed takes its builder with it (Linux): building for nobody would take a core for minutes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL if on else 0)


def main(arguments: list[str]) -> int:
    prepare_process()
    die_with_parent(on=True)
    options = decode_options(arguments[0])
    plan = msgspec.json.decode(arguments[1], type=Plan)
    if "--build" in arguments:
        if hasattr(os, "nice"):
            os.nice(10)
        build(options, plan)
        return 0
    child = start_process(__spec__.name, [*arguments, "--build"], StorageFolder(options.path).log)
    code = child.wait()
    return code or succeed(options, plan)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
