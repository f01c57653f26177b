"""Every setting of the service, in one tree; the only place that reads the environment.

Names are the user guide's and, where it is silent, those of the original service, so that its configurations go on working.
A setting whose value is a secret has a `_FILE` form that names a file holding it.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mcp_memory.domain.errors import ConfigurationError


def _expanded(value: object) -> object:
    """`~` and `$HOME` in a path, as a shell would expand them."""
    return os.path.expandvars(os.path.expanduser(value)) if isinstance(value, str) else value  # noqa: PTH111


def _comma_list(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


ExpandedPath = Annotated[Path, BeforeValidator(_expanded)]
CommaList = Annotated[list[str], NoDecode, BeforeValidator(_comma_list)]
SECRETS = (
    "MCP_API_KEY",
    "MCP_METRICS_KEY",
    "MCP_QDRANT_API_KEY",
    "QDRANT_API_KEY",
    "MCP_EXTERNAL_EMBEDDING_API_KEY",
    "OPENAI_API_KEY",
)


class Backend(StrEnum):
    QDRANT = "qdrant"
    SQLITE_VEC = "sqlite_vec"


class QuantizationKind(StrEnum):
    BINARY = "binary"
    INT8 = "int8"
    TURBO2 = "turbo2"
    TURBO4 = "turbo4"


class Provider(StrEnum):
    ONNX = "onnx"
    SENTENCE_TRANSFORMERS = "sentence-transformers"
    OPENAI = "openai"


class LogFormat(StrEnum):
    AUTO = "auto"
    """Console on a terminal, JSON otherwise."""
    CONSOLE = "console"
    JSON = "json"


def base_directory() -> Path:
    """Where this service keeps its data on each platform (the user guide's table, without the last part)."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "mcp-memory"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "mcp-memory"
    return Path.home() / ".local" / "share" / "mcp-memory"


class Settings(BaseSettings):
    """Read from the environment; build it with `load_settings()`, which turns mistakes into ConfigurationError."""

    model_config = SettingsConfigDict(
        extra="ignore", frozen=True, populate_by_name=True, validate_default=True, hide_input_in_errors=True
    )

    # Storage
    backend: Backend = Field(Backend.QDRANT, validation_alias="MCP_MEMORY_STORAGE_BACKEND")
    """Which storage backend: `qdrant`, or `sqlite_vec` for rollback and comparison."""
    base_dir: ExpandedPath = Field(default_factory=base_directory, validation_alias="MCP_MEMORY_BASE_DIR")
    """Where this service keeps its data; the default depends on the platform (see the user guide)."""
    storage_path: ExpandedPath | None = Field(None, validation_alias="MCP_QDRANT_STORAGE_PATH")
    """Embedded storage folder; default `<base>/qdrant`."""
    sqlite_path: ExpandedPath | None = Field(
        None, validation_alias=AliasChoices("MCP_MEMORY_SQLITE_PATH", "MCP_MEMORY_SQLITEVEC_PATH")
    )
    """Database of the sqlite_vec backend; default `<base>/sqlite_vec.db`."""
    quantization_enabled: bool = Field(False, validation_alias="MCP_QDRANT_QUANTIZATION_ENABLED")
    """Binary quantization: 32 times smaller vectors in RAM, candidates rescored with the originals."""
    on_disk_payload: bool = Field(True, validation_alias="QDRANT_ON_DISK_PAYLOAD")
    """Payloads on disk; false keeps them in RAM."""
    collection: str = Field("memories", validation_alias="MCP_QDRANT_COLLECTION", pattern=r"^[A-Za-z0-9_-]{1,128}$")
    """Name of the collection (an alias, on a server)."""
    disk_reserve_bytes: int = Field(128 * 1024 * 1024, ge=0, validation_alias="MCP_QDRANT_DISK_RESERVE_BYTES")
    """Free space below which embedded writes are refused: the engine dies of SIGBUS on a full disk."""
    graph_threshold: int = Field(50_000, ge=0, validation_alias="MCP_QDRANT_GRAPH_THRESHOLD")
    """Memories from which the embedded engine builds an HNSW graph by generation swap; 0 never builds one."""

    # Qdrant server or cluster
    qdrant_url: str | None = Field(None, validation_alias="MCP_QDRANT_URL")
    """Address of REST; several nodes of one cluster, separated by commas, of which the first that answers is used."""
    quantization_kind: QuantizationKind = Field(
        QuantizationKind.BINARY, validation_alias="MCP_QDRANT_QUANTIZATION_KIND"
    )
    """What a server uses where quantization is enabled."""
    """Use the Qdrant server or cluster at this URL instead of the embedded engine."""
    qdrant_api_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("MCP_QDRANT_API_KEY", "QDRANT_API_KEY")
    )
    """Key of the Qdrant server."""
    qdrant_prefer_grpc: bool = Field(False, validation_alias="MCP_QDRANT_PREFER_GRPC")
    """Speak gRPC instead of REST to the Qdrant server."""
    qdrant_grpc_port: int = Field(6334, ge=1, le=65535, validation_alias="MCP_QDRANT_GRPC_PORT")
    qdrant_ca_file: ExpandedPath | None = Field(None, validation_alias="MCP_QDRANT_CA_FILE")
    """Certificate authority that the Qdrant server's certificate is checked against."""
    qdrant_timeout: float = Field(10.0, gt=0, le=300, validation_alias="MCP_QDRANT_TIMEOUT")
    """Seconds that one call to the Qdrant server may take."""
    qdrant_shard_number: int | None = Field(None, ge=1, validation_alias="MCP_QDRANT_SHARD_NUMBER")
    """Shards of a new collection in a cluster."""
    qdrant_replication_factor: int | None = Field(None, ge=1, validation_alias="MCP_QDRANT_REPLICATION_FACTOR")
    """Replicas of each shard of a new collection in a cluster."""
    qdrant_write_consistency_factor: int | None = Field(
        None, ge=1, validation_alias="MCP_QDRANT_WRITE_CONSISTENCY_FACTOR"
    )
    """Replicas that must have a write before it is acknowledged."""
    qdrant_read_consistency: str | None = Field(
        None, validation_alias="MCP_QDRANT_READ_CONSISTENCY", pattern=r"^(?i:majority|quorum|all|[1-9][0-9]?)$"
    )
    """`majority`, `quorum`, `all`, or a number of replicas asked on a read."""

    # Circuit breaker
    breaker_failures: int = Field(5, ge=1, validation_alias="MCP_BREAKER_FAILURES")
    """Failures of the storage in a row that open the circuit breaker."""
    breaker_seconds: float = Field(60.0, gt=0, validation_alias="MCP_BREAKER_SECONDS")
    """Seconds until an open circuit breaker lets one request through."""

    # Embedding
    embedding_model: str = Field("all-MiniLM-L6-v2", min_length=1, validation_alias="MCP_EMBEDDING_MODEL")
    """The embedding model, by name."""
    embedding_provider: Provider | None = Field(None, validation_alias="MCP_EMBEDDING_PROVIDER")
    """`onnx`, `sentence-transformers` or `openai`; default: follows from the other settings."""
    embedding_model_path: ExpandedPath | None = Field(None, validation_alias="MCP_EMBEDDING_MODEL_PATH")
    """Folder with the model's files, or with a graph made beforehand."""
    embedding_cache_dir: ExpandedPath | None = Field(None, validation_alias="MCP_EMBEDDING_CACHE_DIR")
    """Where graphs made from weights are kept; default: the user's cache folder."""
    embedding_threads: int | None = Field(None, ge=1, validation_alias="MCP_EMBEDDING_THREADS")
    """Threads of the embedding model; default: as many as there are cores."""
    embedding_timeout: float = Field(30.0, gt=0, validation_alias="MCP_EMBEDDING_TIMEOUT")
    """Seconds that a call to an embedding endpoint may take."""
    external_embedding_url: str | None = Field(None, validation_alias="MCP_EXTERNAL_EMBEDDING_URL")
    """An OpenAI-compatible endpoint that embeds texts."""
    external_embedding_model: str | None = Field(None, validation_alias="MCP_EXTERNAL_EMBEDDING_MODEL")
    """The model's name at that endpoint; default: MCP_EMBEDDING_MODEL."""
    external_embedding_api_key: SecretStr | None = Field(None, validation_alias="MCP_EXTERNAL_EMBEDDING_API_KEY")
    """Key of that endpoint."""
    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    """Key for OpenAI's models (`text-embedding-3-small`, ...)."""
    openai_base_url: str = Field("https://api.openai.com/v1", validation_alias="OPENAI_BASE_URL")
    """Where OpenAI's models are asked."""

    # Memories
    max_content_length: int = Field(65_536, ge=1, validation_alias="MCP_MAX_CONTENT_LENGTH")
    """Longest content of a new memory, in characters."""
    semantic_dedup_enabled: bool = Field(False, validation_alias="MCP_SEMANTIC_DEDUP_ENABLED")
    """Refuse a new text that means nearly the same as a stored one."""
    semantic_dedup_threshold: float = Field(0.95, gt=0, le=1, validation_alias="MCP_SEMANTIC_DEDUP_THRESHOLD")
    """Cosine from which a new text counts as a duplicate when the check is on."""
    timezone: str | None = Field(None, validation_alias="MCP_TIMEZONE")
    """IANA name used for "yesterday", "last week", ...; default: the system's."""

    # HTTP
    http_host: str = Field("127.0.0.1", validation_alias="MCP_HTTP_HOST")
    """Address to listen on; others than loopback need MCP_API_KEY."""
    http_port: int = Field(8000, ge=0, le=65535, validation_alias="MCP_HTTP_PORT")
    """Port to listen on; 0 takes a free one."""
    http_max_body_bytes: int = Field(1_048_576, ge=1024, validation_alias="MCP_HTTP_MAX_BODY_BYTES")
    """Largest request body; more is answered with 413."""
    http_max_concurrency: int = Field(256, ge=1, validation_alias="MCP_HTTP_MAX_CONCURRENCY")
    """Requests in work at a time; those beyond wait in a queue of four times that size, then get 503 with Retry-After."""
    workers: int = Field(1, ge=1, le=64, validation_alias="WEB_CONCURRENCY")
    """Worker processes."""
    graceful_timeout: int = Field(8, ge=1, validation_alias="MCP_GRACEFUL_TIMEOUT")
    """Seconds that requests in work have to finish after SIGTERM."""
    api_key: SecretStr | None = Field(None, validation_alias="MCP_API_KEY")
    """The key that clients send as `Authorization: Bearer` or `X-API-Key`."""
    metrics_key: SecretStr | None = Field(None, validation_alias="MCP_METRICS_KEY")
    """A second key that opens /metrics alone."""
    generated_key_file: ExpandedPath | None = Field(None, validation_alias="MCP_GENERATED_KEY_FILE")
    """Where no key is given and anonymous access isn't allowed, one is made at the first start and kept in this file (0600)."""
    address_file: ExpandedPath | None = Field(None, validation_alias="MCP_ADDRESS_FILE")
    """While the server answers, its URL stands in this file: what a container's health check reads."""
    allow_anonymous_access: bool = Field(False, validation_alias="MCP_ALLOW_ANONYMOUS_ACCESS")
    """Listen on other addresses than loopback without a key."""
    allowed_hosts: CommaList = Field(default_factory=list, validation_alias="MCP_ALLOWED_HOSTS")
    """Host names (with port, or `name:*`) accepted besides loopback, against DNS rebinding; `*` accepts all."""
    cors_origins: CommaList = Field(default_factory=list, validation_alias="MCP_CORS_ORIGINS")
    """Origins of web pages that may call the service; none by default."""
    root_path: str = Field("", validation_alias="MCP_HTTP_ROOT_PATH")
    """Path under which a reverse proxy offers the service."""

    # MCP
    legacy_tool_names: bool = Field(True, validation_alias="MCP_LEGACY_TOOL_NAMES")
    """Answer store_memory, retrieve_memory, ... as well as memory_store, memory_search, ..."""
    list_all_tools: bool = Field(False, validation_alias="MCP_LIST_ALL_TOOLS")
    """List every tool and argument that is answered, also those kept for older clients, which cost an assistant context."""

    # Owner of an embedded store
    owner_idle_seconds: float = Field(600.0, gt=0, validation_alias="MCP_OWNER_IDLE_SECONDS")
    """A background owner started by `memory mcp` or the CLI ends after this time without a request."""

    # Logs
    log_level: str = Field("INFO", validation_alias="LOG_LEVEL", pattern=r"^(?i:DEBUG|INFO|WARNING|ERROR|CRITICAL)$")
    """`DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`."""
    log_format: LogFormat = Field(LogFormat.AUTO, validation_alias="MCP_LOG_FORMAT")
    """`console`, `json`, or `auto`: console on a terminal, JSON otherwise."""

    @field_validator("backend", mode="before")
    @classmethod
    def _original_spelling(cls, value: object) -> object:
        return value.strip().lower().replace("-", "_") if isinstance(value, str) else value

    @field_validator("qdrant_url", "external_embedding_url", "timezone", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @model_validator(mode="before")
    @classmethod
    def _secret_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        """`NAME_FILE` gives a secret by file; a name and its `_FILE` form together are a mistake."""
        for name in SECRETS:
            path = os.environ.get(f"{name}_FILE")
            if not path:
                continue
            if os.environ.get(name):
                raise ValueError(f"{name} and {name}_FILE are both set: keep one of them")
            try:
                secret = Path(str(_expanded(path))).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"{name}_FILE: cannot read {path}: {error}") from None
            if not secret:
                raise ValueError(f"{name}_FILE: {path} is empty")
            values[name] = secret
        return values

    @model_validator(mode="after")
    def _refuse_open_doors(self) -> Self:
        for name, secret in (
            ("MCP_API_KEY", self.api_key),
            ("MCP_METRICS_KEY", self.metrics_key),
            ("MCP_QDRANT_API_KEY", self.qdrant_api_key),
        ):
            if secret is not None and not secret.get_secret_value().strip():
                raise ValueError(f"{name} is set but empty: give it a value or unset it")
        return self

    @property
    def qdrant_urls(self) -> tuple[str, ...]:
        """The addresses in MCP_QDRANT_URL."""
        return tuple(url.strip().rstrip("/") for url in (self.qdrant_url or "").split(",") if url.strip())

    @property
    def qdrant_path(self) -> Path:
        """The embedded storage folder."""
        return self.storage_path or self.base_dir / "qdrant"

    @property
    def sqlite_file(self) -> Path:
        return self.sqlite_path or self.base_dir / "sqlite_vec.db"

    @property
    def loopback(self) -> bool:
        return self.http_host in {"127.0.0.1", "localhost", "::1"} or self.http_host.startswith("127.")


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment, with overrides by field name.

    Raises ConfigurationError naming each variable that can't be used, without its value.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [
            f"  {_variable(issue['loc'])}: {issue['msg'].removeprefix('Value error, ')}" for issue in error.errors()
        ]
        raise ConfigurationError("These settings can't be used:\n" + "\n".join(lines)) from None


def _variable(location: tuple[int | str, ...]) -> str:
    return str(location[0]) if location else "settings"
