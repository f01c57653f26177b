"""Every setting of the service, in one tree; the only place that reads the environment.

Names are the user guide's and, where it is silent, those of the original service, so that its configurations go on working.
A setting whose value is a secret has a `_FILE` form that names a file holding it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from mcp_memory.access import Access, access_of
from mcp_memory.addresses import checked_url, shown_url, without_userinfo
from mcp_memory.allowed_values import allowed, unit
from mcp_memory.backend_names import backend_of
from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.environment import given, value_of
from mcp_memory.secret_files import read_secret
from mcp_memory.zones import zone_of


def _expanded(value: object) -> object:
    """`~` and `$HOME` in a path, as a shell would expand them. A relative one would mean another place in each folder that a
    command is typed in, so it is refused; one that the program itself gives is made absolute."""
    if isinstance(value, Path):
        return value.absolute()
    if not isinstance(value, str):
        return value
    text = os.path.expandvars(os.path.expanduser(value))  # noqa: PTH111
    if unset := re.search(r"\$(\w+|\{[^}]*\})", text):
        raise ValueError(f"{unset[0]} in it is not set: write the folder's whole path")
    if text.startswith("~"):
        raise ValueError(f"there is no home for {text.split('/', 1)[0]}: write the folder's whole path")
    if "://" in text:
        raise ValueError(f"{shown_url(text)} is an address, not a path")
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(
            f"{text} is a relative path, which would be another place in each working directory. Here it is:  {path.absolute()}"
        )
    return path


def _comma_list(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


ExpandedPath = Annotated[Path, BeforeValidator(_expanded)]
CommaList = Annotated[list[str], NoDecode, BeforeValidator(_comma_list)]
Endpoint = Annotated[str, AfterValidator(partial(checked_url, key="MCP_EXTERNAL_EMBEDDING_API_KEY"))]
OpenAI = Annotated[str, AfterValidator(partial(checked_url, key="OPENAI_API_KEY"))]
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


class WriteOrdering(StrEnum):
    """Who puts the writes of several clients to one memory in order, in a cluster."""

    WEAK = "weak"
    MEDIUM = "medium"
    STRONG = "strong"


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
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        validate_default=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
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
    collection: str = Field(
        "memories",
        validation_alias="MCP_QDRANT_COLLECTION",
        json_schema_extra=unit("up to 128 letters, digits, _ and -"),
        pattern=r"^[A-Za-z0-9_-]{1,128}$",
    )
    """Name of the collection (an alias, on a server)."""
    disk_reserve_bytes: int = Field(
        128 * 1024 * 1024,
        ge=0,
        le=10**15,
        validation_alias="MCP_QDRANT_DISK_RESERVE_BYTES",
        json_schema_extra=unit("bytes"),
    )
    """Free space below which embedded writes are refused: the engine dies of SIGBUS on a full disk."""
    graph_threshold: int = Field(
        50_000, ge=0, le=10**12, validation_alias="MCP_QDRANT_GRAPH_THRESHOLD", json_schema_extra=unit("memories")
    )
    """Memories from which the embedded engine builds an HNSW graph by generation swap; 0 never builds one."""

    # Qdrant server or cluster
    qdrant_url: str | None = Field(
        None,
        validation_alias="MCP_QDRANT_URL",
        json_schema_extra=unit("addresses that begin with http:// or https://, separated by commas"),
    )
    """Use the Qdrant server at this address of its REST API instead of the embedded engine; several nodes of one cluster are
    separated by commas, and the first that answers is used."""
    quantization_kind: QuantizationKind = Field(
        QuantizationKind.BINARY, validation_alias="MCP_QDRANT_QUANTIZATION_KIND"
    )
    """What a server uses where quantization is enabled."""
    qdrant_api_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("MCP_QDRANT_API_KEY", "QDRANT_API_KEY")
    )
    """Key of the Qdrant server."""
    qdrant_prefer_grpc: bool = Field(False, validation_alias="MCP_QDRANT_PREFER_GRPC")
    """Speak gRPC instead of REST to the Qdrant server."""
    qdrant_grpc_port: int = Field(6334, ge=1, le=65535, validation_alias="MCP_QDRANT_GRPC_PORT")
    """Port of gRPC on the Qdrant server."""
    qdrant_ca_file: ExpandedPath | None = Field(None, validation_alias="MCP_QDRANT_CA_FILE")
    """Certificate authority that the Qdrant server's certificate is checked against."""
    qdrant_timeout: float | None = Field(
        None, gt=0, le=300, validation_alias="MCP_QDRANT_TIMEOUT", json_schema_extra=unit("seconds")
    )
    """Seconds that one call to the Qdrant server may take; 10 if not set, 20 where `MCP_QDRANT_URL` names several nodes: a node
    needs about ten to go on without another one that hangs."""
    qdrant_shard_number: int | None = Field(
        None, ge=1, le=1024, validation_alias="MCP_QDRANT_SHARD_NUMBER", json_schema_extra=unit("shards")
    )
    """Shards of a new collection in a cluster."""
    qdrant_replication_factor: int | None = Field(
        None, ge=1, le=64, validation_alias="MCP_QDRANT_REPLICATION_FACTOR", json_schema_extra=unit("replicas")
    )
    """Replicas of each shard of a new collection in a cluster."""
    qdrant_write_consistency_factor: int | None = Field(
        None, ge=1, le=64, validation_alias="MCP_QDRANT_WRITE_CONSISTENCY_FACTOR", json_schema_extra=unit("replicas")
    )
    """Replicas that must have a write before it is acknowledged."""
    qdrant_read_consistency: str | None = Field(
        None,
        validation_alias="MCP_QDRANT_READ_CONSISTENCY",
        json_schema_extra=unit("majority, quorum, all or a number from 1 to 99"),
        pattern=r"^(?i:majority|quorum|all|[1-9][0-9]?)$",
    )
    """`majority`, `quorum`, `all`, or a number of replicas asked on a read."""

    qdrant_write_ordering: WriteOrdering = Field(WriteOrdering.MEDIUM, validation_alias="MCP_QDRANT_WRITE_ORDERING")
    """Who puts writes in order where memories have replicas: one of them (`medium`), always the same one (`strong`, which stops
    where that one is away), nobody (`weak`: a node that is away holds writes up for less long, but two services that write one
    memory in the same moment may leave replicas that differ)."""

    # Circuit breaker
    breaker_failures: int = Field(
        5, ge=1, le=1000, validation_alias="MCP_BREAKER_FAILURES", json_schema_extra=unit("failures")
    )
    """Failures of the storage in a row that open the circuit breaker."""
    breaker_seconds: float | None = Field(
        None, gt=0, le=86_400, validation_alias="MCP_BREAKER_SECONDS", json_schema_extra=unit("seconds")
    )
    """Seconds until an open circuit breaker lets one request through; 60 if not set, 5 where `MCP_QDRANT_URL` names several
    nodes, which go on without one of them."""

    # Embedding
    embedding_model: str = Field("all-MiniLM-L6-v2", min_length=1, validation_alias="MCP_EMBEDDING_MODEL")
    """The embedding model, by name."""
    embedding_provider: Provider | None = Field(None, validation_alias="MCP_EMBEDDING_PROVIDER")
    """`onnx`, `sentence-transformers` or `openai`; default: follows from the other settings."""
    embedding_model_path: ExpandedPath | None = Field(None, validation_alias="MCP_EMBEDDING_MODEL_PATH")
    """Folder with the model's files, or with a graph made beforehand."""
    embedding_cache_dir: ExpandedPath | None = Field(None, validation_alias="MCP_EMBEDDING_CACHE_DIR")
    """Where graphs made from weights are kept; default: the user's cache folder."""
    offline: bool = Field(False, validation_alias="MCP_MEMORY_OFFLINE")
    """Never ask the Hub for a model: it comes from a package, a folder, or the Hub's cache."""
    embedding_threads: int | None = Field(
        None, ge=1, le=1024, validation_alias="MCP_EMBEDDING_THREADS", json_schema_extra=unit("threads")
    )
    """Threads of the embedding model; default: as many as there are cores."""
    embedding_timeout: float = Field(
        30.0, gt=0, le=3600, validation_alias="MCP_EMBEDDING_TIMEOUT", json_schema_extra=unit("seconds")
    )
    """Seconds that a call to an embedding endpoint may take."""
    external_embedding_url: Endpoint | None = Field(
        None,
        validation_alias="MCP_EXTERNAL_EMBEDDING_URL",
        json_schema_extra=unit("an address that begins with http:// or https://"),
    )
    """An OpenAI-compatible endpoint that embeds texts."""
    external_embedding_model: str | None = Field(None, validation_alias="MCP_EXTERNAL_EMBEDDING_MODEL")
    """The model's name at that endpoint; default: MCP_EMBEDDING_MODEL."""
    external_embedding_api_key: SecretStr | None = Field(None, validation_alias="MCP_EXTERNAL_EMBEDDING_API_KEY")
    """Key of that endpoint."""
    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    """Key for OpenAI's models (`text-embedding-3-small`, ...)."""
    openai_base_url: OpenAI = Field(
        "https://api.openai.com/v1",
        validation_alias="OPENAI_BASE_URL",
        json_schema_extra=unit("an address that begins with http:// or https://"),
    )
    """Where OpenAI's models are asked."""

    # Memories
    max_content_length: int = Field(
        65_536, ge=1, le=100_000_000, validation_alias="MCP_MAX_CONTENT_LENGTH", json_schema_extra=unit("characters")
    )
    """Longest content of a new memory, in characters."""
    semantic_dedup_enabled: bool = Field(False, validation_alias="MCP_SEMANTIC_DEDUP_ENABLED")
    """Refuse a new text that means nearly the same as a stored one."""
    semantic_dedup_threshold: float = Field(
        0.95, gt=0, le=1, validation_alias="MCP_SEMANTIC_DEDUP_THRESHOLD", json_schema_extra=unit("a cosine")
    )
    """Cosine from which a new text counts as a duplicate when the check is on."""
    timezone: str | None = Field(
        None, validation_alias="MCP_TIMEZONE", json_schema_extra=unit("a name of the IANA time zones, or a POSIX rule")
    )
    """IANA name used for "yesterday", "last week", ...; default: the system's."""

    # HTTP
    http_host: str = Field(
        "127.0.0.1",
        validation_alias="MCP_HTTP_HOST",
        json_schema_extra=unit("an address of this machine, or a name of one"),
    )
    """Address to listen on; others than loopback need MCP_API_KEY."""
    http_port: int = Field(8000, ge=0, le=65535, validation_alias="MCP_HTTP_PORT")
    """Port to listen on; 0 takes a free one."""
    http_max_body_bytes: int = Field(
        1_048_576,
        ge=1024,
        le=1_073_741_824,
        validation_alias="MCP_HTTP_MAX_BODY_BYTES",
        json_schema_extra=unit("bytes"),
    )
    """Largest request body; more is answered with 413."""
    http_max_concurrency: int = Field(
        256, ge=1, le=65_536, validation_alias="MCP_HTTP_MAX_CONCURRENCY", json_schema_extra=unit("requests")
    )
    """Requests in work at a time; those beyond wait in a queue of four times that size, then get 503 with Retry-After."""
    http_max_connections: int = Field(
        4096, ge=16, le=65_536, validation_alias="MCP_HTTP_MAX_CONNECTIONS", json_schema_extra=unit("connections")
    )
    """Connections open at a time; fewer where the system allows fewer descriptors. The longest idle makes room for a new one."""
    https_enabled: bool = Field(False, validation_alias="MCP_HTTPS_ENABLED")
    """Serve HTTPS instead of HTTP, with the two files below."""
    https_certificate_file: ExpandedPath | None = Field(None, validation_alias="MCP_SSL_CERT_FILE")
    """The certificate, and those between it and the authority: PEM. Read at start."""
    https_key_file: ExpandedPath | None = Field(None, validation_alias="MCP_SSL_KEY_FILE")
    """Its private key: PEM, without a password."""
    workers: int = Field(1, ge=1, le=64, validation_alias="WEB_CONCURRENCY", json_schema_extra=unit("processes"))
    """Worker processes."""
    graceful_timeout: int = Field(
        8, ge=1, le=3600, validation_alias="MCP_GRACEFUL_TIMEOUT", json_schema_extra=unit("seconds")
    )
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
    """Serve requests without a key, on other addresses than loopback too, also beside a key; MCP_ANONYMOUS_SCOPE says what they
    may do."""
    anonymous_scope: Access = Field(
        Access.WRITE, validation_alias="MCP_ANONYMOUS_SCOPE", json_schema_extra=unit("`read write`, `read` or `none`")
    )
    """What requests without a key may do, wherever they are served."""
    agent_id: str | None = Field(None, validation_alias="MCP_AGENT_ID")
    """The agent that stores memories where a call names none (X-Agent-ID, agent_id). `memory mcp` and commands send it on."""
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
    owner_idle_seconds: float = Field(
        600.0, gt=0, le=31_536_000, validation_alias="MCP_OWNER_IDLE_SECONDS", json_schema_extra=unit("seconds")
    )
    """A background owner started by `memory mcp` or the CLI ends after this time without a request."""

    # Logs
    log_level: str = Field(
        "INFO",
        validation_alias="LOG_LEVEL",
        json_schema_extra=unit("DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        pattern=r"^(?i:DEBUG|INFO|WARNING|ERROR|CRITICAL)$",
    )
    """`DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`."""
    log_format: LogFormat = Field(LogFormat.AUTO, validation_alias="MCP_LOG_FORMAT")
    """`console`, `json`, or `auto`: console on a terminal, JSON otherwise."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _Environment(settings_cls)

    @field_validator("backend", mode="before")
    @classmethod
    def _known_backend(cls, value: object) -> object:
        return backend_of(value) if isinstance(value, str) else value

    @field_validator("anonymous_scope", mode="before")
    @classmethod
    def _known_scope(cls, value: object) -> object:
        return access_of(value) if isinstance(value, str) else value

    @field_validator("qdrant_url")
    @classmethod
    def _whole_addresses(cls, value: str | None) -> str | None:
        for url in (value or "").split(","):
            if url.strip():
                checked_url(url.strip(), key="MCP_QDRANT_API_KEY")
        return value if value and value.strip(" ,") else None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None:
            zone_of(value)
        return value

    @field_validator("root_path")
    @classmethod
    def _one_slash_before_and_none_behind(cls, value: str) -> str:
        path = value.strip().strip("/")
        return f"/{path}" if path else ""

    @model_validator(mode="before")
    @classmethod
    def _secret_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        """`NAME_FILE` gives a secret by file; a name and its `_FILE` form together are a mistake."""
        for name in SECRETS:
            path = value_of(f"{name}_FILE")
            if path is None:
                continue
            if value_of(name) is not None:
                raise ValueError(f"{name} and {name}_FILE are both set: keep one of them")
            try:
                values[name] = read_secret(Path(os.path.expandvars(path)).expanduser())
            except ValueError as error:
                raise ValueError(f"{name}_FILE: {error}") from None
        return values

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        """A setting that closes something is never ignored: with a certificate but without HTTPS, people believe in TLS."""
        given = {"MCP_SSL_CERT_FILE": self.https_certificate_file, "MCP_SSL_KEY_FILE": self.https_key_file}
        missing = [name for name, file in given.items() if file is None]
        if self.https_enabled and missing:
            raise ValueError(f"MCP_HTTPS_ENABLED needs {' and '.join(missing)}: PEM files of a certificate and its key")
        if not self.https_enabled and len(missing) < len(given):
            name = next(name for name, file in given.items() if file is not None)
            raise ValueError(f"{name} is set, but MCP_HTTPS_ENABLED is not true: set it too, or unset {name}")
        return self

    @property
    def tls_files(self) -> tuple[Path, Path] | None:
        """Certificate and key to serve HTTPS with; None: HTTP."""
        if not self.https_enabled or self.https_certificate_file is None or self.https_key_file is None:
            return None
        return self.https_certificate_file, self.https_key_file

    @property
    def qdrant_urls(self) -> tuple[str, ...]:
        """The addresses in MCP_QDRANT_URL."""
        return tuple(url.strip().rstrip("/") for url in (self.qdrant_url or "").split(",") if url.strip())

    @property
    def qdrant_seconds(self) -> float:
        """What MCP_QDRANT_TIMEOUT says, or its default for one server or several nodes (docs/decisions/cut-off-nodes.md)."""
        return self.qdrant_timeout or (20.0 if len(self.qdrant_urls) > 1 else 10.0)

    @property
    def open_seconds(self) -> float:
        """What MCP_BREAKER_SECONDS says, or its default for one place or several nodes."""
        return self.breaker_seconds or (5.0 if len(self.qdrant_urls) > 1 else 60.0)

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


class _Environment(EnvSettingsSource):
    """Variables under their documented names alone, cleaned: an empty one counts as unset, quotes and blanks around it go."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        names = {name.lower() for name in variables()}
        found: dict[str, str | None] = {name.lower(): value for name, value in given().items() if name.lower() in names}
        if (
            "MCP_ANONYMOUS_SCOPE" in os.environ
        ):  # Set and empty it grants nothing, as in the original: it must not open.
            found.setdefault("mcp_anonymous_scope", Access.NONE)
        return found


def names_of(field: FieldInfo) -> list[str]:
    """The variables that set a field, the preferred one first."""
    alias = field.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [str(alias)]


@cache
def variables() -> frozenset[str]:
    """Every variable that is a setting, `_FILE` forms included."""
    fields = {name for field in Settings.model_fields.values() for name in names_of(field)}
    return frozenset(fields | {f"{name}_FILE" for name in SECRETS})


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment, with overrides by field name.

    Raises ConfigurationError naming each variable that can't be used, without its value, and what may stand there.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError("These settings can't be used:\n" + "\n".join(_mistakes(error))) from None


def _mistakes(error: ValidationError) -> Iterator[str]:
    fields = Settings.model_fields
    for issue in error.errors():
        name = str(issue["loc"][0]) if issue["loc"] else ""
        field = next((each for key, each in fields.items() if name == key or name in names_of(each)), None)
        message = without_userinfo(issue["msg"].removeprefix("Value error, "))
        if field is None:
            yield f"  {message}" if not name else f"  {name}: {message}"
        elif issue["type"] == "value_error":  # a sentence of ours, which says what to do
            yield f"  {_variable(field)}: {message}"
        else:
            yield f"  {_variable(field)}: {message[:1].lower()}{message[1:]}. {allowed(field)}"


def _variable(field: FieldInfo) -> str:
    """The name under which the field was given, or its first one."""
    names = names_of(field)
    return next((name for name in names if value_of(name) is not None), names[0])
