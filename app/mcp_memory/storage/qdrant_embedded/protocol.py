"""What clients and the engine say to each other.

A frame is its length (4 bytes, big-endian), the request's number (8 bytes) and one message in MessagePack. Answers carry the
number of their request, so that many can be under way on one connection. Vectors are float32, little-endian.
"""

from __future__ import annotations

import struct
from typing import Any, TypeAlias

import msgspec

from mcp_memory.domain.query import Cursor, FacetField, MemoryFilter, SearchMode
from mcp_memory.storage.qdrant_embedded.manifest import Graph, Model, Quantization

VERSION = 2
MAX_FRAME = 64 * 1024 * 1024
HEADER = struct.Struct("!IQ")
HASH_BYTES = 64


class Record(msgspec.Struct, array_like=True):
    """A point: payload as it is stored; vector empty where it wasn't asked for.

    In a bulk load the client has counted the words too (BM25): `terms` uint32, `weights` float32, little-endian.
    """

    id: str
    payload: dict[str, Any]
    vector: bytes = b""
    terms: bytes | None = None
    weights: bytes = b""


class Hello(msgspec.Struct, tag=True):
    """First on every connection. `token` proves the right to connect where a file mode can't."""

    version: int
    collection: str
    model: Model
    token: str = ""


class Upsert(msgspec.Struct, tag=True):
    records: list[Record]
    insert_only: bool = False
    keep_revisions: bool = False


class Get(msgspec.Struct, tag=True):
    ids: list[str]
    vectors: bool = False


class Delete(msgspec.Struct, tag=True):
    ids: list[str]


class DeleteMatching(msgspec.Struct, tag=True):
    where: MemoryFilter


class Update(msgspec.Struct, tag=True):
    id: str
    tags: list[str] | None = None
    memory_type: str | None = None
    metadata: dict[str, Any] | None = None
    updated_at: float | None = None
    add_tags: list[str] = []
    remove_tags: list[str] = []
    store: str | None = None


class Search(msgspec.Struct, tag=True):
    mode: SearchMode
    limit: int
    where: MemoryFilter
    text: str | None = None
    vector: bytes | None = None
    min_similarity: float | None = None
    exclude: str | None = None
    """A point id."""
    exact_scan: bool = False


class ListPage(msgspec.Struct, tag=True):
    where: MemoryFilter
    limit: int
    cursor: Cursor | None = None
    offset: int = 0


class Scroll(msgspec.Struct, tag=True):
    """A batch in order of id, behind `after`."""

    where: MemoryFilter
    limit: int
    after: str | None = None
    only: list[str] | None = None
    """These keys of the payload, and no vectors."""


class Count(msgspec.Struct, tag=True):
    where: MemoryFilter


class Facet(msgspec.Struct, tag=True):
    field: FacetField
    where: MemoryFilter


class Stats(msgspec.Struct, tag=True):
    pass


class Ping(msgspec.Struct, tag=True):
    """A real query, the cheapest there is."""


class BuildGeneration(msgspec.Struct, tag=True):
    """Build a new generation where it pays, and switch to it. Answered when the switch is done, or has failed."""


class Pause(msgspec.Struct, tag=True):
    """Hold every write back until Resume or the end of this connection; answered when all that was written is in the files."""


class Resume(msgspec.Struct, tag=True):
    """Writes go on."""


class Leave(msgspec.Struct, tag=True):
    """This client goes; where it was the last (`Done.changed`), the engine ends at once instead of after a moment."""


class Subscribe(msgspec.Struct, tag=True):
    """A builder's first word on a connection: it builds this generation. From the first time on, changes are written down."""

    generation: int


class TakeJournal(msgspec.Struct, tag=True):
    """Ids that changed since the last time. `final` holds all writes back until HandOver or the end of the connection."""

    final: bool = False


class HandOver(msgspec.Struct, tag=True):
    """The new generation holds everything, `count` memories: switch the manifest to it and pass lock and socket on."""

    generation: int
    count: int
    quantization: Quantization
    graph: Graph | None


WriteRequest: TypeAlias = Upsert | Delete | DeleteMatching | Update
ReadRequest: TypeAlias = Get | Search | ListPage | Scroll | Count | Facet | Ping
BuilderRequest: TypeAlias = Subscribe | TakeJournal | HandOver
Request: TypeAlias = (
    WriteRequest | ReadRequest | BuilderRequest | Hello | Stats | BuildGeneration | Leave | Pause | Resume
)


class Welcome(msgspec.Struct, tag=True):
    pid: int
    generation: int


class Paused(msgspec.Struct, tag=True):
    """The files of `generation` stand still, and hold `count` memories."""

    generation: int
    count: int


class Existed(msgspec.Struct, tag=True):
    """For each id of the request, in order, whether it was there before."""

    flags: list[bool]


class Records(msgspec.Struct, tag=True):
    records: list[Record]
    more: bool = False


class Hit(msgspec.Struct, array_like=True):
    payload: dict[str, Any]
    score: float
    cosine: float | None


class Hits(msgspec.Struct, tag=True):
    hits: list[Hit]


class Number(msgspec.Struct, tag=True):
    value: int


class Counts(msgspec.Struct, tag=True):
    counts: dict[str, int]


class Figures(msgspec.Struct, tag=True):
    """Answer to Stats; sizes in bytes."""

    count: int
    indexed: int
    disk: int
    ram: int
    details: dict[str, Any]


class Ids(msgspec.Struct, tag=True):
    """What changed. `settled`: no write is under way, and none begins, so that this is all."""

    ids: list[str]
    settled: bool


class Done(msgspec.Struct, tag=True):
    """Answer where there is nothing to tell but the fact; `message` for a person."""

    changed: bool = True
    message: str = ""


class Failure(msgspec.Struct, tag=True):
    """`code` is that of an error class in domain.errors, `details` its fields."""

    code: str
    message: str
    details: dict[str, Any] = {}


class Moved(msgspec.Struct, tag=True):
    """Not executed: another engine takes over. Connect again and repeat the request."""


Response: TypeAlias = (
    Welcome | Paused | Existed | Records | Hits | Number | Counts | Figures | Ids | Done | Failure | Moved
)

_encoder = msgspec.msgpack.Encoder()
request_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
response_decoder: msgspec.msgpack.Decoder[Response] = msgspec.msgpack.Decoder(Response)


def frame(number: int, message: Request | Response) -> bytes:
    """One frame, ready to be sent. Raises ValueError where it would be larger than MAX_FRAME."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise ValueError(f"a message of {len(body):,} bytes is larger than {MAX_FRAME:,}")
    return HEADER.pack(len(body), number) + body
