"""What an embedded store is opened with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from mcp_memory.domain.model import ModelIdentity

MEBIBYTE = 1024 * 1024


class Transport(StrEnum):
    """How clients reach the engine: a Unix socket, or a loopback port with a token where there are no such sockets."""

    UNIX = "unix"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """One store. The collection's model, quantization and size decide the rest."""

    path: Path
    """The storage folder; made where it is missing."""
    model: ModelIdentity
    collection: str = "memories"
    quantization: bool = False
    """Binary quantization: one bit a dimension in RAM, originals on disk. False: results as without any quantization."""
    on_disk_payload: bool = True
    disk_reserve_bytes: int = 128 * MEBIBYTE
    """Free space below which writes are refused: the engine dies of SIGBUS where a mapped file can't grow."""
    graph_threshold: int = 50_000
    """Memories from which a graph is built in the background; 0: never."""
    transport: Transport | None = None
    """None: what the platform has."""
    start_timeout: float = 60.0
    """Seconds that an engine may take to open the folder."""
    request_timeout: float = 60.0
    """Seconds that one request may take before the engine counts as stuck."""


def encode_options(options: EmbeddedOptions) -> str:
    """The options as an argument of the engine's command line; there is no secret among them."""
    return msgspec.json.encode(options, enc_hook=str).decode()


def decode_options(text: str) -> EmbeddedOptions:
    return msgspec.json.decode(text, type=EmbeddedOptions, dec_hook=lambda _, value: Path(value))
