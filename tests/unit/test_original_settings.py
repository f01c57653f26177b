"""The original's variables, and misspelt ones of ours, are never passed over in silence."""

from __future__ import annotations

import pytest

from mcp_memory.config import variables
from mcp_memory.original_settings import ORIGINALS, closed_in_vain, without_effect

KNOWN_THERE = [
    "CLOUDFLARE_API_TOKEN",
    "MCP_ASSOCIATIONS_ENABLED",
    "MCP_BACKUP_INTERVAL",
    "MCP_BELIEF_LAMBDA",
    "MCP_CONSOLIDATION_BATCH_SIZE",
    "MCP_CUSTOM_MEMORY_TYPES",
    "MCP_DOCUMENT_CHUNK_SIZE",
    "MCP_ENABLE_AUTO_SPLIT",
    "MCP_GRAPH_STORAGE_MODE",
    "MCP_HARVEST_SESSION_DIR",
    "MCP_HTTPS_PORT",
    "MCP_HYBRID_BATCH_SIZE",
    "MCP_HYBRID_FUSION_METHOD",
    "MCP_INIT_TIMEOUT",
    "MCP_INSIGHT_EXCLUDE_TAGS",
    "MCP_MAINTAIN_STALE_DAYS",
    "MCP_MDNS_SERVICE_NAME",
    "MCP_MEMORY_BACKUPS_PATH",
    "MCP_MEMORY_INCLUDE_HOSTNAME",
    "MCP_MEMORY_INTEGRITY_CHECK_INTERVAL",
    "MCP_MEMORY_ONNX_PROVIDERS",
    "MCP_MEMORY_SQLITE_PRAGMAS",
    "MCP_MILVUS_URI",
    "MCP_NLI_BACKEND",
    "MCP_OAUTH_ISSUER",
    "MCP_ONNX_MODEL_REPO",
    "MCP_ORT_THREADS",
    "MCP_PEER_SSL_CA_FILE",
    "MCP_QUALITY_AI_MODEL",
    "MCP_QUARANTINE_MAX_BELIEFS",
    "MCP_RERANK_MODEL",
    "MCP_RETENTION_CRITICAL",
    "MCP_SCHEDULE_DAILY",
    "MCP_SEMANTIC_DEDUP_TIME_WINDOW_HOURS",
    "MCP_SQLITEVEC_MAX_CONTENT_LENGTH",
    "MCP_SSE_HEARTBEAT",
    "MCP_SYNC_PEERS",
    "MCP_TRANSPORT_TIMEOUT_GRACEFUL_SHUTDOWN",
    "MCP_UPDATE_GIT_BRANCH",
    "mcpMemoryBackupsPath",
    "QDRANT_HNSW_M",
    "QDRANT_COLLECTION_NAME",
]


@pytest.mark.parametrize("name", KNOWN_THERE)
def test_a_variable_of_the_original_is_named_once_with_what_stands_in_its_place(name: str) -> None:
    (notice,) = without_effect(variables(), {name: "7"})
    assert notice.startswith(f"{name} has no effect here: ")


def test_what_is_a_setting_here_is_no_notice() -> None:
    assert without_effect(variables(), dict.fromkeys(variables(), "x")) == []
    assert closed_in_vain(variables(), dict.fromkeys(variables(), "x")) == []


@pytest.mark.parametrize("value", ["true", "1", "yes", "on"])
def test_oauth_that_is_asked_for_ends_the_start(value: str) -> None:
    (sentence,) = closed_in_vain(set(), {"MCP_OAUTH_ENABLED": value})
    assert "MCP_OAUTH_ENABLED" in sentence
    assert "MCP_API_KEY" in sentence


@pytest.mark.parametrize("value", ["false", "0", "no", "off", ""])
def test_oauth_that_is_off_is_as_it_is_here(value: str) -> None:
    assert closed_in_vain(set(), {"MCP_OAUTH_ENABLED": value}) == []
    assert without_effect(set(), {"MCP_OAUTH_ENABLED": value}) == []


def test_everything_that_closes_something_is_honoured_or_ends_the_start() -> None:
    closing = {"MCP_HTTPS_ENABLED", "MCP_SSL_CERT_FILE", "MCP_SSL_KEY_FILE", "MCP_OAUTH_ENABLED"}
    for name in closing - variables():
        assert closed_in_vain(variables(), {name: "read"}), name


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("MCP_QDRANT_STORAGE_PTH", "MCP_QDRANT_STORAGE_PATH"),
        ("MCP_APIKEY", "MCP_API_KEY"),
        ("MCP_HTTP_PROT", "MCP_HTTP_PORT"),
        ("MCP_QDRANT_APIKEY_FILE", "MCP_QDRANT_API_KEY_FILE"),
        ("QDRANT_APIKEY", "QDRANT_API_KEY"),
        ("MCP_OAUTH_ENABLE", "MCP_OAUTH_ENABLED"),
        ("MCP_EMBEDING_MODEL", "MCP_EMBEDDING_MODEL"),
    ],
)
def test_a_misspelt_setting_is_named_with_its_nearest(written: str, meant: str) -> None:
    (notice,) = without_effect(variables(), {written: "x"})
    assert notice.startswith(written)
    assert meant in notice


@pytest.mark.parametrize(
    "name",
    [
        "MCP_TIMEOUT",
        "MCP_TOOL_TIMEOUT",
        "MCP_MEMORY_SERVICE_HOST",
        "MCP_MEMORY_PORT_8000_TCP_ADDR",
        "QDRANT__SERVICE__API_KEY",
        "PATH",
        "QDRANT_VERSION",
    ],
)
def test_variables_of_other_programs_are_left_alone(name: str) -> None:
    assert without_effect(variables(), {name: "x", "MCP_MEMORY_PORT": "tcp://10.0.0.1:8000"}) == []


def test_no_variable_is_explained_twice() -> None:
    names = [name for original in ORIGINALS for name in original.names]
    assert len(names) == len(set(names))
