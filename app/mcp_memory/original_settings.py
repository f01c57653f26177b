"""Variables of the original service (12.4), and of others, that are no settings here, and what stands in their place.

Nothing that was set is passed over in silence: what has no effect is named once at the start and by `memory doctor`; what closes
something there and can't here ends the start; a name that nobody knows is shown with the nearest one that is known.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mcp_memory.environment import given

_FOREIGN = re.compile(
    r"MCP_(TOOL_)?TIMEOUT|MCP_CONNECTION_NONBLOCKING|MCP_OAUTH_CALLBACK_PORT|MCP_CLIENT_SECRET|QDRANT__.*"
    r"|.*_SERVICE_(HOST|PORT(_\w+)?)|.*_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?"
)
"""MCP hosts', Qdrant's and Kubernetes' own variables (a Service named mcp-memory becomes MCP_MEMORY_SERVICE_HOST)."""
_OFF = {"0", "false", "no", "off", "n", "f", "none", "disabled"}


@dataclass(frozen=True, slots=True)
class Original:
    """Variables of one purpose. A name that ends in `*` stands for all that begin so."""

    names: tuple[str, ...]
    instead: str
    """A clause that follows "has no effect here: "."""
    closes: bool = False
    """It closes something: where it is on and not honoured, the start fails."""

    def covers(self, name: str) -> bool:
        return any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in self.names)


ORIGINALS = (
    Original(
        ("MCP_OAUTH_ENABLED",),
        "there is no OAuth, and clients that are to sign in with it could not. Set MCP_API_KEY, or put a proxy that asks an "
        "identity provider before the service; then unset MCP_OAUTH_ENABLED",
        closes=True,
    ),
    Original(
        ("MCP_DCR_REGISTRATION_KEY", "MCP_OAUTH_*", "OAUTH_SECRET_KEY"),
        "there is no OAuth. Clients send MCP_API_KEY",
    ),
    Original(("MCP_HTTP_ENABLED",), "`memory server` serves HTTP, `memory mcp` speaks MCP on stdin and stdout"),
    Original(("MCP_HTTPS_PORT",), "the service listens on MCP_HTTP_PORT alone"),
    Original(
        ("MCP_SSE_HOST", "MCP_SSE_PORT", "MCP_STREAMABLE_HTTP_MODE", "MCP_SSE_MODE"),
        "MCP is at /mcp of MCP_HTTP_HOST and MCP_HTTP_PORT; `memory server --streamable-http` heeds MCP_SSE_HOST and _PORT",
    ),
    Original(("MCP_SSE_HEARTBEAT", "MCP_SSE_REPLAY_BUFFER_SIZE"), "there is no stream of events"),
    Original(("MCP_TRANSPORT_TIMEOUT_GRACEFUL_SHUTDOWN",), "set MCP_GRACEFUL_TIMEOUT"),
    Original(("MCP_TRANSPORT_TIMEOUT_KEEP_ALIVE",), "the time for which idle connections are kept is fixed"),
    Original(("MCP_RATE_LIMIT_PER_MINUTE",), "set MCP_HTTP_MAX_CONCURRENCY, or limit rates in a proxy"),
    Original(
        ("MCP_METRICS_ENABLED",), "/metrics is always there and asks for a key where one is set; see MCP_METRICS_KEY"
    ),
    Original(("MCP_MDNS_*",), "the service doesn't announce itself on the network"),
    Original(
        ("MCP_MEMORY_INCLUDE_HOSTNAME",),
        "no memory is tagged with the service's own machine; a client that names its own is (X-Client-Hostname)",
    ),
    Original(
        ("MCP_CLIENT", "MCP_LOCALE", "MCP_INIT_TIMEOUT", "MCP_STANDALONE_MODE", "MCP_MODE", "DEBUG_MODE"),
        "nothing needs it",
    ),
    Original(("MCP_UPDATE_*",), "the service doesn't update itself"),
    Original(
        ("MCP_MEMORY_BACKUPS_PATH", "mcpMemoryBackupsPath", "MCP_BACKUP_*", "MCP_MEMORY_ARCHIVE_PATH"),
        "`memory backup FOLDER` makes backups; a timer or cron job can run it (docs/operations.md)",
    ),
    Original(
        ("MCP_MEMORY_SQLITE_PRAGMAS", "MCP_MEMORY_INTEGRITY_CHECK_*", "MCP_GRAPH_STORAGE_MODE"),
        "the storage sees to it by itself",
    ),
    Original(
        ("MCP_SQLITEVEC_MAX_CONTENT_LENGTH", "MCP_HYBRID_MAX_CONTENT_LENGTH", "MCP_CLOUDFLARE_MAX_CONTENT_LENGTH"),
        "set MCP_MAX_CONTENT_LENGTH",
    ),
    Original(
        ("MCP_ENABLE_AUTO_SPLIT", "MCP_CONTENT_SPLIT_OVERLAP", "MCP_CONTENT_PRESERVE_BOUNDARIES"),
        "long texts are stored whole and embedded in windows",
    ),
    Original(
        ("MCP_SEMANTIC_DEDUP_TIME_WINDOW_HOURS",), "a new text is compared with all that are stored, of whatever age"
    ),
    Original(
        ("MCP_MEMORY_USE_ONNX", "MCP_MEMORY_ONNX_PROVIDERS", "MCP_ONNX_MODEL_REPO"),
        "ONNX Runtime is used where it can run the model; see MCP_EMBEDDING_PROVIDER and MCP_EMBEDDING_MODEL_PATH",
    ),
    Original(("MCP_ORT_THREADS",), "set MCP_EMBEDDING_THREADS"),
    Original(("MCP_MEMORY_ALLOW_HASH_EMBEDDINGS",), "a model is always used, never a hash in its place"),
    Original(
        ("MCP_MEMORY_ALLOW_SELF_SIGNED_CERTS",),
        "certificates are always checked; see MCP_QDRANT_CA_FILE and SSL_CERT_FILE",
    ),
    Original(
        (
            "MCP_HYBRID_SEARCH_ENABLED",
            "MCP_HYBRID_FUSION_METHOD",
            "MCP_HYBRID_KEYWORD_WEIGHT",
            "MCP_HYBRID_SEMANTIC_WEIGHT",
            "MCP_HYBRID_RRF_*",
        ),
        "searches are hybrid where no mode is asked for, and their weights are measured ones (docs/architecture.md)",
    ),
    Original(
        ("MCP_HYBRID_*", "MCP_SYNC_*", "MCP_PEER_*"),
        "there is no synchronisation. Several devices can share one service, or one Qdrant server (MCP_QDRANT_URL)",
    ),
    Original(
        ("CLOUDFLARE_*",),
        "memories are not kept at Cloudflare; `memory migrate sqlite` brings in what a hybrid original keeps here",
    ),
    Original(("MCP_MILVUS_*",), "memories are not kept in Milvus"),
    Original(
        ("MCP_RERANK_*", "MCP_SEARCH_SUMMARIZE_ENABLED"),
        "search ranks by meaning and words together, and gives texts as they are",
    ),
    Original(("MCP_MAX_RESPONSE_CHARS",), "pass max_response_chars with a search"),
    Original(("MCP_CUSTOM_MEMORY_TYPES", "MCP_CUSTOM_TAG_NAMESPACES"), "every type and every tag is taken as it comes"),
    Original(
        ("MCP_DOCUMENT_*", "LLAMAPARSE_API_KEY"),
        "documents are not cut up here: store their parts with `memory store` or `memory import`",
    ),
    Original(
        ("MCP_AUTO_EXTRACT_*", "MCP_HARVEST_*", "HARVEST_*", "SESSION_CHUNK_SIZE"), "sessions are not harvested here"
    ),
    Original(("QDRANT_URL", "QDRANT_HOST"), "set MCP_QDRANT_URL"),
    Original(("QDRANT_COLLECTION_NAME",), "set MCP_QDRANT_COLLECTION"),
    Original(
        ("QDRANT_DISTANCE_METRIC", "QDRANT_HNSW_M", "QDRANT_HNSW_EF_CONSTRUCT", "QDRANT_SEARCH_EF"),
        "it is tuned automatically",
    ),
    Original(
        (
            "MCP_ASSOCIATION*",
            "MCP_BELIEF*",
            "MCP_BOOTSTRAP_*",
            "MCP_CLUSTERING_*",
            "MCP_COMPRESSION_*",
            "MCP_CONSOLIDATION_*",
            "MCP_CONTRADICTION_*",
            "MCP_DECAY_ENABLED",
            "MCP_ENTITY_*",
            "MCP_ERROR_WEIGHT",
            "MCP_FORGETTING_*",
            "MCP_FRUSTRATION_THRESHOLD",
            "MCP_INSIGHT_*",
            "MCP_LEARNING_RATE",
            "MCP_MAINTAIN_*",
            "MCP_MISTAKE_NOTE_*",
            "MCP_NLI_*",
            "MCP_QUALITY_*",
            "MCP_QUARANTINE_*",
            "MCP_RETENTION_*",
            "MCP_SCHEDULE_*",
            "MCP_TYPED_EDGES_ENABLED",
            "MEMORY_DECAY_WINDOW_DAYS",
        ),
        "memories are kept as they were given: there is no consolidation, scoring, graph or forgetting",
    ),
)


def closed_in_vain(known: Iterable[str], environ: Mapping[str, str] | None = None) -> list[str]:
    """A sentence for each variable that is to close something and isn't honoured. `known` are the settings' variables."""
    settings = set(known)
    return [
        f"{name} is set, and has no effect here: {original.instead}."
        for name, value in sorted(given(environ).items())
        if name not in settings
        and (original := _original(name)) is not None
        and original.closes
        and value.lower() not in _OFF
    ]


def without_effect(known: Iterable[str], environ: Mapping[str, str] | None = None) -> list[str]:
    """A sentence for each variable that is known and has no effect here, and for each MCP_ name that nobody knows."""
    settings = set(known)
    notices = []
    for name, value in sorted(given(environ).items()):
        if name in settings or _FOREIGN.fullmatch(name) or (name.endswith("_PORT") and value.startswith("tcp://")):
            continue
        original = _original(name)
        closing = [each for entry in ORIGINALS if entry.closes for each in entry.names]
        if (original is None or name not in original.names) and (
            meant := difflib.get_close_matches(name, closing, 1, 0.93)
        ):
            notices.append(f"{name} is no setting here: did you mean {meant[0]}?")
        elif original is not None:
            if not original.closes and not (value.lower() in _OFF and name.endswith("_ENABLED")):
                notices.append(f"{name} has no effect here: {original.instead}.")
        elif name.startswith("MCP_") or (name.startswith("QDRANT_") and _nearest(name, settings)):
            near = _nearest(name, settings)
            notices.append(
                f"{name} is no setting here" + (f": did you mean {near}?" if near else ", and has no effect.")
            )
    return notices


def _original(name: str) -> Original | None:
    exact = next((each for each in ORIGINALS if name in each.names), None)
    return exact or next((each for each in ORIGINALS if each.covers(name)), None)


def _nearest(name: str, settings: set[str]) -> str | None:
    known = {*settings, *(each for original in ORIGINALS for each in original.names if not each.endswith("*"))}
    found = difflib.get_close_matches(name, sorted(known), 1, 0.8)
    return found[0] if found else None
