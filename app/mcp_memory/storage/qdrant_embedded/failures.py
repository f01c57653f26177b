"""Domain errors across the socket and back."""

from __future__ import annotations

from mcp_memory.domain.errors import (
    InvalidInputError,
    MemoryServiceError,
    ModelChangedError,
    StorageBusyError,
    StorageError,
    StorageFormatError,
    StorageFullError,
    StorageLockedError,
    StorageUnavailableError,
)
from mcp_memory.storage.qdrant_embedded.protocol import Failure

_PLAIN: dict[str, type[StorageError]] = {
    kind.code: kind
    for kind in (
        StorageUnavailableError,
        StorageBusyError,
        StorageFullError,
        StorageLockedError,
        StorageFormatError,
    )
}


def to_failure(error: MemoryServiceError) -> Failure:
    details: dict[str, object] = {}
    if isinstance(error, ModelChangedError):
        names = ("old_model", "new_model", "old_dimensions", "new_dimensions", "old_fingerprint")
        details = {name: getattr(error, name) for name in names}
    elif isinstance(error, InvalidInputError):
        details = {"field": error.field}
    return Failure(error.code, error.message, details)


def to_error(failure: Failure) -> MemoryServiceError:
    match failure.code:
        case ModelChangedError.code:
            return ModelChangedError(**failure.details)
        case InvalidInputError.code:
            return InvalidInputError(failure.message, field=failure.details.get("field"))
        case _:
            return _PLAIN.get(failure.code, StorageError)(failure.message)
