"""What a request's failure means: to be sent again, or which of the storage's errors it is."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx

from mcp_memory.domain.errors import StorageBusyError, StorageError, StorageFullError, StorageUnavailableError

if TYPE_CHECKING:
    from mcp_memory.storage.qdrant_server.options import ServerOptions

NO_SPACE: Final = ("no space left", "not enough space", "disk quota exceeded")
_BY_GRPC: Final = {
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "UNAVAILABLE": 503,
    "ABORTED": 503,
    "CANCELLED": 503,
    "DEADLINE_EXCEEDED": 504,
}


class CollectionGoneError(StorageError):
    """The collection that the request names isn't on the server."""


class AlreadyThereError(StorageError):
    """What should be created exists."""


class VectorNameError(StorageError):
    """The collection has no vector of this name: the alias points to one of another model."""


class WriteUnfinishedError(Exception):
    """The server has taken a write into its log and not applied it in time: it may not be acknowledged yet."""


class NodeSilentError(Exception):
    """A node of a cluster has stopped answering anything; its address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A refusal, in the terms of HTTP."""

    status: int
    message: str
    retry_after: float | None = None

    @property
    def no_space(self) -> bool:
        text = self.message.lower()
        return self.status >= 500 and any(phrase in text for phrase in NO_SPACE)


def refusal(error: BaseException) -> Answer | None:
    """What the server answered, or None where it wasn't the server that failed."""
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse  # noqa: PLC0415  (a second to import)
    from qdrant_client.http.exceptions import UnexpectedResponse  # noqa: PLC0415

    if isinstance(error, UnexpectedResponse):
        return Answer(error.status_code or 500, _message(error.content) or error.reason_phrase)
    if isinstance(error, ResourceExhaustedResponse):
        return Answer(429, error.message, float(error.retry_after_s))
    code = getattr(error, "code", None)
    if callable(code) and hasattr(error, "details"):
        return Answer(_BY_GRPC.get(code().name, 500), str(error.details()))
    return None


def _message(content: bytes) -> str:
    try:
        status = json.loads(content)["status"]
    except (ValueError, KeyError, TypeError):
        return content[:200].decode(errors="replace")
    return str(status.get("error", status)) if isinstance(status, dict) else str(status)


def broken(error: BaseException) -> Exception | None:
    """The transport's or the parser's own error inside the client's, or None."""
    from qdrant_client.http.exceptions import ResponseHandlingException  # noqa: PLC0415

    if isinstance(error, ResponseHandlingException):
        return error.source
    return None


def passing(error: BaseException) -> bool:
    """Whether sending the request again may help. All of ours may be sent twice: ids and conditions make them idempotent."""
    if isinstance(error, WriteUnfinishedError | NodeSilentError):
        return True
    answer = refusal(error)
    if answer is not None:
        return answer.status in {408, 429, 500, 502, 503, 504} and not answer.no_space
    source = broken(error)
    return isinstance(source, httpx.TransportError) and not _certificate(source)


def to_error(error: Exception, what: str, options: ServerOptions) -> StorageError:
    """The storage's error for a request that failed for good. `what` names it: "storing 3 memories"."""
    if isinstance(error, WriteUnfinishedError):
        return StorageUnavailableError(
            f"Qdrant at {options.where} took {what} into its log but did not apply it in time; send it again."
        )
    if isinstance(error, NodeSilentError):
        return StorageUnavailableError(f"No node of Qdrant at {options.where} answers {what}; last asked: {error}.")
    answer = refusal(error)
    if answer is not None:
        return _refused(answer, what, options)
    source = broken(error) or error
    if _certificate(source):
        return StorageUnavailableError(
            f"The certificate of Qdrant at {options.where} isn't trusted: {source}\n"
            "Set MCP_QDRANT_CA_FILE to the PEM file of the authority that signed it."
        )
    if isinstance(source, httpx.TransportError):
        return StorageUnavailableError(
            f"Qdrant at {options.where} can't be reached for {what}: {str(source) or type(source).__name__}.\n"
            f"Check that it runs: curl {options.urls[0]}/readyz"
        )
    return StorageUnavailableError(f"Qdrant at {options.where} gave an answer that can't be read for {what}: {source}")


def _refused(answer: Answer, what: str, options: ServerOptions) -> StorageError:
    where, text, status = options.where, answer.message, answer.status
    error: StorageError
    if answer.no_space:
        error = StorageFullError(
            f"No space left on device: Qdrant at {where} refused {what}: {text}\n"
            "Free some space on its disk, or give it a larger one; reads go on."
        )
    elif "Not existing vector name" in text:
        error = VectorNameError(text)
    elif status in {401, 403}:
        error = StorageUnavailableError(
            f"Qdrant at {where} refused the API key ({status}: {text}).\n"
            "Set MCP_QDRANT_API_KEY, or MCP_QDRANT_API_KEY_FILE, to the key it was started with."
        )
    elif status == 404:
        error = CollectionGoneError(text)
    elif status == 409:
        error = AlreadyThereError(f"Qdrant at {where} refused {what}: {text}")
    elif status == 413:
        error = StorageError(
            f"Qdrant at {where} takes no request as large as {what}; raise its service.max_request_size_mb."
        )
    elif status == 429:
        error = StorageBusyError(f"Qdrant at {where} is busy: {text}", retry_after=answer.retry_after or 1.0)
    elif status >= 500 or status == 408:
        error = StorageUnavailableError(f"Qdrant at {where} failed at {what} ({status}): {text}")
    else:
        error = StorageError(f"Qdrant at {where} refused {what} ({status}): {text}")
    return error


def _certificate(error: BaseException | None) -> bool:
    """Whether a TLS handshake failed over trust: trying again changes nothing."""
    while error is not None:
        if isinstance(error, ssl.SSLError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
