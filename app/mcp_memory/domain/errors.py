"""Errors that a person can act on: what happened, to which thing, and what to do next.

`code` is the machine-readable name that REST and MCP answers carry.
"""

from __future__ import annotations

import shlex
from datetime import datetime


class MemoryServiceError(Exception):
    """Base of every error this service raises on purpose."""

    code = "internal_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInputError(MemoryServiceError, ValueError):
    """The caller's input breaks a rule of the domain; nothing was changed (HTTP 422 or 400)."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class MemoryNotFoundError(MemoryServiceError, LookupError):
    """No memory has this hash (HTTP 404)."""

    code = "memory_not_found"

    def __init__(self, content_hash: str) -> None:
        super().__init__(f"No memory has the hash {content_hash}.")
        self.content_hash = content_hash


class ConfigurationError(MemoryServiceError):
    """The settings can't work as they are; the process ends with exit code 78 (EX_CONFIG)."""

    code = "configuration_error"


class StorageError(MemoryServiceError):
    """The storage can't do what was asked, for a reason the message gives."""

    code = "storage_error"


class StorageUnavailableError(StorageError):
    """The engine or server can't be reached, died, or did not answer in time. Counts for the circuit breaker (HTTP 503)."""

    code = "storage_unavailable"


class StorageBusyError(StorageUnavailableError):
    """Maintenance has exclusive use, or the queue is full; trying again later helps (HTTP 503 with Retry-After)."""

    code = "storage_busy"

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StorageFullError(StorageError):
    """No space is left for a write; reads go on (HTTP 507)."""

    code = "storage_full"


class StorageLockedError(StorageError):
    """Another process owns the folder; the message names both."""

    code = "storage_locked"


class NothingStoredError(StorageError):
    """There is no store at the place that was named."""


class StorageFormatError(StorageError):
    """The folder is missing parts, damaged, foreign, or of a newer version; it is left as it was."""

    code = "storage_format"


class ModelChangedError(StorageError):
    """The stored memories were embedded by another model than the one configured.

    The message is the user guide's, word for word, and then the command for those who have no clone.
    """

    code = "model_changed"

    def __init__(
        self, *, old_model: str, new_model: str, old_dimensions: int, new_dimensions: int, old_fingerprint: str = ""
    ) -> None:
        """`old_fingerprint` of the stored vectors' model, where it is known."""
        super().__init__(
            f"Embedding model changed: {old_model} → {new_model}\n"
            f"Vector dimensions: {old_dimensions} → {new_dimensions}\n"
            "\n"
            "REQUIRED ACTION: Migrate existing memories to new model.\n"
            "Run:\n"
            "  python scripts/migration/migrate_to_new_model.py \\\n"
            f"    --old-model {shlex.quote(old_model)} \\\n"
            f"    --new-model {shlex.quote(new_model)}\n"
            "or, without a clone of the repository:\n"
            f"  memory migrate model --old-model {shlex.quote(old_model)} --new-model {shlex.quote(new_model)}"
        )
        self.old_model = old_model
        self.new_model = new_model
        self.old_dimensions = old_dimensions
        self.new_dimensions = new_dimensions
        self.old_fingerprint = old_fingerprint


class DimensionMismatchError(StorageError, ValueError):
    """A vector of the wrong size reached the storage."""

    code = "dimension_mismatch"

    def __init__(self, *, expected: int, got: int) -> None:
        super().__init__(
            f"Embedding dimension mismatch. Expected {expected}, got {got}.\n"
            "This is a configuration error - check embedding model and Qdrant collection settings."
        )


class CircuitOpenError(StorageUnavailableError):
    """The circuit breaker refuses work until `retry_at` (HTTP 503 with Retry-After)."""

    code = "circuit_open"

    def __init__(self, *, retry_at: datetime, retry_after: float) -> None:
        super().__init__(
            f"Circuit breaker OPEN - Qdrant unavailable. Retry after {retry_at.strftime('%Y-%m-%dT%H:%M:%SZ')}"
        )
        self.retry_at = retry_at
        self.retry_after = retry_after


class EmbeddingError(MemoryServiceError):
    """The embedding provider failed (HTTP 503)."""

    code = "embedding_failed"


class AbandonedError(MemoryServiceError):
    """Nobody waits for the answer any more: what was done so far stays, the rest is left (HTTP 499)."""

    code = "client_gone"

    def __init__(self) -> None:
        super().__init__("The client has gone: what was done so far stays, the rest was left.")


class ReadOnlyAccessError(MemoryServiceError):
    """The caller may read and nothing else (HTTP 403)."""

    code = "insufficient_scope"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} changes something, and without a key requests may only read here (MCP_ANONYMOUS_SCOPE): send the key."
        )
