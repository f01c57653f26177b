"""What a Qdrant server or cluster is used with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from mcp_memory.domain.model import ModelIdentity


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """One alias on one server or cluster. The collection's model and size decide the rest."""

    urls: tuple[str, ...]
    """Addresses of REST, `http://` or `https://`; several nodes of one cluster, of which the first that answers is used."""
    model: ModelIdentity
    alias: str = "memories"
    api_key: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    """PEM file of the authorities that may have signed the server's certificate; None: the system's."""
    prefer_grpc: bool = False
    grpc_port: int = 6334
    timeout: float = 10.0
    """Seconds that one request may take, its retries included."""
    retry_seconds: float = 3.0
    """Seconds in which a request that failed is sent again; a restart of the server takes about two."""
    quantization: bool = False
    """Quantized vectors in RAM, originals on disk. False: results as without any quantization."""
    quantization_kind: str = "binary"
    """binary, int8, turbo2 or turbo4."""
    on_disk_payload: bool = True
    shard_number: int | None = None
    replication_factor: int | None = None
    write_consistency_factor: int | None = None
    read_consistency: str | None = None
    """How many replicas must agree on a read: a number, majority, quorum or all; None: one answers."""
    write_ordering: str = "medium"
    """With replicas: medium or strong, a leader puts a shard's writes in order; weak, the node asked sends them to all."""
    managed: bool = True
    """False: the collection is used as it is found, neither created, nor noted, nor tuned. For those of a model change."""

    @property
    def where(self) -> str:
        """The addresses, for messages."""
        return ", ".join(self.urls)

    @property
    def where_plain(self) -> str:
        """The addresses without credentials, for checkpoints and reports."""
        return ",".join(map(_without_credentials, self.urls))


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
