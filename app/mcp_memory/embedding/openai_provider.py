"""OpenAIProvider: vectors from any endpoint that answers `POST /v1/embeddings` as OpenAI's does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import numpy as np
import orjson
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from mcp_memory.addresses import check_proxies, shown_url, without_userinfo
from mcp_memory.certificates import check_certificate_files
from mcp_memory.domain.errors import ConfigurationError, EmbeddingError
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.embedding.base import TextKind
from mcp_memory.embedding.models import OPENAI_DIMENSIONS, endpoint_fingerprint, known_prompts
from mcp_memory.terminal import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

ATTEMPTS = 4
SAID_CHARACTERS = 300
"""Of what an endpoint says of itself, for messages and logs."""
OPENAI_WINDOW_BYTES = 8_000
"""OpenAI's models read 8,191 tokens, and a token is at least one byte: no tokenizer is needed to be sure."""
OTHER_WINDOW_BYTES = 1_500
"""Most open models read 512 tokens, and many endpoints cut what is longer without a word: 1,500 bytes are some 375 tokens of
English, 500 of Chinese."""
_TRANSIENT_STATUS = {408, 409, 425, 429, 500, 502, 503, 504, 529}


class _TransientError(Exception):
    """Worth another try, after `retry_after` seconds where the endpoint said so."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class OpenAIProvider:
    """One endpoint and model. Tries up to ATTEMPTS times within `timeout` seconds; redirects are not followed."""

    def __init__(
        self,
        *,
        url: str,
        model: str,
        api_key: str | None = None,
        key_name: str = "OPENAI_API_KEY",
        timeout: float = 30.0,
    ) -> None:
        """Asks the endpoint for one vector, to learn their size. Raises ConfigurationError for an address that isn't one,
        EmbeddingError where the endpoint doesn't answer as it should.
        """
        self._url = embeddings_url(url)
        self._model = model
        self._api_key = api_key
        self._key_name = key_name
        self._timeout = timeout
        self._prompts = known_prompts(model)
        self._window_bytes = OPENAI_WINDOW_BYTES if model in OPENAI_DIMENSIONS else OTHER_WINDOW_BYTES
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        check_certificate_files()
        check_proxies()
        self._client = httpx.Client(headers=headers)
        try:
            dimensions = self._request(["dimensions"]).shape[1]
        except EmbeddingError:
            self._client.close()
            raise
        self._identity = ModelIdentity(model, dimensions, endpoint_fingerprint(shown_url(self._url), model, dimensions))

    @property
    def identity(self) -> ModelIdentity:
        return self._identity

    def windows(self, text: str) -> list[str]:
        limit = self._window_bytes - len(self._prompts.longest.encode())
        return list(_cut(text, limit))

    def embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        if not texts:
            return np.empty((0, self._identity.dimensions), np.float32)
        prompt = self._prompts.of(kind)
        vectors = self._request([prompt + text for text in texts])
        if vectors.shape[1] != self._identity.dimensions:
            raise EmbeddingError(
                f"{shown_url(self._url)} gave vectors of {vectors.shape[1]} dimensions for {self._model}, "
                f"{self._identity.dimensions} when the service started: the model behind it has changed. Restart the service."
            )
        return vectors

    def close(self) -> None:
        self._client.close()

    def _request(self, texts: list[str]) -> NDArray[np.float32]:
        deadline = time.monotonic() + self._timeout
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(self._timeout),
            wait=_wait,
            retry=retry_if_exception_type(_TransientError),
            reraise=True,
        )
        try:
            return retrying(self._attempt, texts, deadline)
        except _TransientError as error:
            raise EmbeddingError(f"The embedding endpoint {shown_url(self._url)} failed: {error}") from error

    def _attempt(self, texts: list[str], deadline: float) -> NDArray[np.float32]:
        body = orjson.dumps({"model": self._model, "input": texts, "encoding_format": "float"})
        headers = {"Content-Type": "application/json"}
        left = max(0.001, deadline - time.monotonic())
        try:
            with self._client.stream("POST", self._url, content=body, headers=headers, timeout=left) as response:
                received = bytearray()
                for chunk in response.iter_bytes():
                    received += chunk
                    if time.monotonic() > deadline:  # httpx counts each read by itself
                        raise _TransientError(f"no complete answer within {self._timeout:g} seconds")
        except httpx.TimeoutException:
            raise _TransientError(f"no answer within {self._timeout:g} seconds") from None
        except httpx.TransportError as error:
            raise _TransientError(without_userinfo(str(error)) or type(error).__name__) from None
        if response.status_code != httpx.codes.OK:
            self._refuse(response, bytes(received))
        return self._vectors(bytes(received), len(texts))

    def _refuse(self, response: httpx.Response, body: bytes) -> None:
        said = endpoint_words(body, self._api_key)
        status = f"HTTP {response.status_code}"
        if response.status_code in _TRANSIENT_STATUS:
            raise _TransientError(
                f"{status}: {said}" if said else status, _seconds(response.headers.get("Retry-After"))
            )
        if response.status_code in (401, 403):
            raise EmbeddingError(
                f"{shown_url(self._url)} refuses the key ({status}): check {self._key_name}."
                + (f" It says: {said}" if said else "")
            )
        raise EmbeddingError(f"{shown_url(self._url)} refuses to embed with the model {self._model} ({status}): {said}")

    def _vectors(self, body: bytes, count: int) -> NDArray[np.float32]:
        try:
            items: list[dict[str, Any]] = orjson.loads(body)["data"]
            if any(item.get("index") is not None for item in items):
                items = sorted(items, key=lambda item: int(item["index"]))
            vectors = np.array([item["embedding"] for item in items], np.float32)
            # Some endpoints leave the index out: their vectors stand in the order of the texts.
            indices = [place if item.get("index") is None else int(item["index"]) for place, item in enumerate(items)]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            said = endpoint_words(body, self._api_key)
            raise EmbeddingError(
                f"{shown_url(self._url)} doesn't answer as an OpenAI embeddings endpoint does ({type(error).__name__}: {error})"
                + (f"; it says: {said}." if said else ".")
            ) from error
        if indices != list(range(count)) or vectors.ndim != 2:
            raise EmbeddingError(f"{shown_url(self._url)} gave {len(items)} vectors for {count} texts.")
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all() or not norms.all():
            raise EmbeddingError(f"{shown_url(self._url)} gave a vector that is zero or not finite.")
        return np.asarray(vectors / norms, np.float32)


def endpoint_words(body: bytes, api_key: str | None) -> str:
    """What an endpoint says in an answer that holds no vectors: one line of at most SAID_CHARACTERS, without the key."""
    try:
        value = orjson.loads(body)
    except ValueError:
        value = body[: 8 * SAID_CHARACTERS].decode("utf-8", "replace")
    for name in ("error", "message", "detail", "msg"):  # OpenAI, Ollama, FastAPI's and others' forms, nested or not
        if isinstance(value, dict) and value.get(name):
            value = value[name]
    if isinstance(value, dict) and "data" in value:
        return ""  # vectors, such as they are
    text = value if isinstance(value, str) else orjson.dumps(value, default=repr).decode() if value else ""
    if api_key:
        text = text.replace(api_key, "***")
    text = printable(" ".join(text.split()))
    return text if len(text) <= SAID_CHARACTERS else f"{text[: SAID_CHARACTERS - 3]}..."


def embeddings_url(url: str) -> str:
    """The address to post to: `/v1` where only a host is given, `/embeddings` where that is missing."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            "The address of the embedding endpoint must begin with http:// or https:// and name a host."
        )
    path = parts.path.rstrip("/") or "/v1"
    if not path.endswith("/embeddings"):
        path += "/embeddings"
    return urlunsplit(parts._replace(path=path, fragment=""))


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header is not None else None
    except ValueError:
        return None  # a date: our own waiting time does as well


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    jittered = float(wait_random_exponential(multiplier=0.25, max=8)(state))
    asked = error.retry_after if isinstance(error, _TransientError) else None
    return jittered if asked is None else asked + min(jittered, 1.0)


def _cut(text: str, limit: int) -> list[str]:
    """Parts of at most `limit` bytes of UTF-8, cut at white space where there is some, never inside a character."""
    parts = []
    rest = text.encode()
    while len(rest) > limit:
        end = limit
        while rest[end] & 0xC0 == 0x80:  # a continuation byte
            end -= 1
        space = max(rest.rfind(b" ", limit // 2, end), rest.rfind(b"\n", limit // 2, end))
        end = space if space > 0 else end
        parts.append(rest[:end].decode())
        rest = rest[end:].lstrip()
    return [*parts, rest.decode()] if rest or not parts else parts
