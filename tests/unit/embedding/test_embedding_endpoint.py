"""OpenAIProvider against a real HTTP server on the loopback that answers as the test says."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from mcp_memory.domain.errors import ConfigurationError, EmbeddingError
from mcp_memory.embedding.base import TextKind
from mcp_memory.embedding.openai_provider import OpenAIProvider, embeddings_url

KEY = "sk-very-secret-0123456789"
Answer = tuple[int, dict[str, str], bytes]


def vectors(texts: list[str], dimensions: int = 4) -> bytes:
    """[length of the text, 1, 1, ...] for each, last one first: the index counts, not the order."""
    data = [{"index": n, "embedding": [float(len(text)), *[1.0] * (dimensions - 1)]} for n, text in enumerate(texts)]
    return json.dumps({"data": data[::-1]}).encode()


class Endpoint:
    """Answers `/v1/embeddings`; `script` holds what to do instead, one entry a request."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.script: list[Callable[[list[str]], Answer]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append((self.path, dict(self.headers), body))
                act = endpoint.script.pop(0) if endpoint.script else lambda texts: (200, {}, vectors(texts))
                status, headers, answer = act(body["input"])
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(answer))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def provider(self, **options: Any) -> OpenAIProvider:
        return OpenAIProvider(url=self.url, **({"model": "small", "api_key": KEY} | options))


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.stop()


def status(code: int, body: bytes = b"", **headers: str) -> Callable[[list[str]], Answer]:
    return lambda _texts: (code, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def test_the_dimensions_are_learned_at_start_and_vectors_come_in_order_and_normalised(endpoint: Endpoint) -> None:
    provider = endpoint.provider()
    assert provider.identity.dimensions == 4
    assert provider.identity.name == "small"
    found = provider.embed(["a", "abc", "ab"], TextKind.DOCUMENT)
    expected = np.array([[length, 1, 1, 1] for length in (1, 3, 2)], np.float32)
    assert np.allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True))
    path, headers, body = endpoint.requests[-1]
    assert path == "/v1/embeddings"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body["model"] == "small"
    provider.close()


def test_no_key_means_no_authorization_header(endpoint: Endpoint) -> None:
    endpoint.provider(api_key=None).close()
    assert "Authorization" not in endpoint.requests[0][1]


@pytest.mark.parametrize("code", [429, 500, 502, 503])
def test_a_passing_failure_is_tried_again(endpoint: Endpoint, code: int) -> None:
    provider = endpoint.provider()
    endpoint.script = [status(code, Retry_After="0"), status(code, Retry_After="0")]
    assert provider.embed(["a"], TextKind.QUERY).shape == (1, 4)
    assert len(endpoint.requests) == 4
    provider.close()


def test_it_gives_up_after_four_attempts_and_says_why(endpoint: Endpoint) -> None:
    provider = endpoint.provider()
    endpoint.script = [status(503, Retry_After="0")] * 10
    with pytest.raises(EmbeddingError, match=r"127\.0\.0\.1:\d+/v1/embeddings failed: HTTP 503"):
        provider.embed(["a"], TextKind.QUERY)
    assert len(endpoint.requests) == 1 + 4
    provider.close()


def test_a_wait_longer_than_the_time_out_is_not_waited_for(endpoint: Endpoint) -> None:
    provider = endpoint.provider(timeout=1.0)
    endpoint.script = [status(429, Retry_After="3600")] * 10
    started = time.monotonic()
    with pytest.raises(EmbeddingError, match="HTTP 429"):
        provider.embed(["a"], TextKind.QUERY)
    assert time.monotonic() - started < 1.0
    provider.close()


def test_an_endpoint_that_does_not_answer_is_given_up_at_the_time_out(endpoint: Endpoint) -> None:
    provider = endpoint.provider(timeout=0.5)
    release = threading.Event()

    def hang(texts: list[str]) -> Answer:
        release.wait(10)
        return 200, {}, vectors(texts)

    endpoint.script = [hang] * 10
    started = time.monotonic()
    with pytest.raises(EmbeddingError, match=r"no answer within 0\.5 seconds"):
        provider.embed(["a"], TextKind.QUERY)
    assert time.monotonic() - started < 3
    release.set()
    provider.close()


def test_nobody_listening_is_said_in_words() -> None:
    with pytest.raises(EmbeddingError, match=r"http://127\.0\.0\.1:9/v1/embeddings failed: "):
        OpenAIProvider(url="http://127.0.0.1:9", model="small", timeout=2)


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_names_its_variable_is_not_tried_again_and_is_never_shown(
    endpoint: Endpoint, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.script = [status(code, f"Incorrect API key provided: {KEY}".encode())]
    with pytest.raises(EmbeddingError, match="check MCP_EXTERNAL_EMBEDDING_API_KEY") as raised:
        endpoint.provider(key_name="MCP_EXTERNAL_EMBEDDING_API_KEY")
    assert len(endpoint.requests) == 1
    assert KEY not in str(raised.value) + caplog.text


def test_a_refusal_shows_what_the_endpoint_said_without_the_key(endpoint: Endpoint) -> None:
    endpoint.script = [status(404, f"no such model for {KEY}".encode())]
    with pytest.raises(EmbeddingError, match=r"the model small \(HTTP 404\): no such model for \*\*\*"):
        endpoint.provider()


def test_secrets_in_an_address_are_not_shown(endpoint: Endpoint) -> None:
    endpoint.script = [status(404)]
    address = endpoint.url.replace("http://", "http://user:pass@") + "?token=hidden"
    with pytest.raises(EmbeddingError) as raised:
        OpenAIProvider(url=address, model="small")
    assert "pass" not in str(raised.value)
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>", "doesn't answer as an OpenAI"),
        (b'{"data": 5}', "doesn't answer as an OpenAI"),
        (b'{"data": [{"index": 0, "embedding": ["x", 1, 1, 1]}]}', "doesn't answer as an OpenAI"),
        (b'{"data": [{"index": 0, "embedding": [1, 1, 1, 1]}, {"index": 1, "embedding": [1]}]}', "doesn't answer as"),
        (vectors(["a", "b"]), "2 vectors for 1 texts"),
        (b'{"data": []}', "0 vectors for 1 texts"),
        (b'{"data": [{"index": 7, "embedding": [1, 1, 1, 1]}]}', "1 vectors for 1 texts"),
        (vectors(["a"], 5), "vectors of 5 dimensions for small, 4 when the service started"),
        (b'{"data": [{"index": 0, "embedding": [0, 0, 0, 0]}]}', "zero or not finite"),
        (b'{"data": [{"index": 0, "embedding": [1e999, 0, 0, 0]}]}', "zero or not finite|doesn't answer as"),
        (b'{"data": [{"index": 0, "embedding": [null, 0, 0, 0]}]}', "zero or not finite|doesn't answer as"),
    ],
)
def test_a_wrong_answer_is_an_error_never_a_vector(endpoint: Endpoint, body: bytes, reason: str) -> None:
    provider = endpoint.provider()
    endpoint.script = [status(200, body)]
    with pytest.raises(EmbeddingError, match=reason):
        provider.embed(["a"], TextKind.DOCUMENT)
    provider.close()


def test_a_redirect_is_not_followed_with_the_key(endpoint: Endpoint) -> None:
    endpoint.script = [status(307, Location="http://127.0.0.1:9/elsewhere")]
    with pytest.raises(EmbeddingError, match="HTTP 307"):
        endpoint.provider()


def test_long_texts_are_cut_at_blanks_never_inside_a_character(endpoint: Endpoint) -> None:
    provider = endpoint.provider()
    for text in ("word " * 2000, "漢" * 3000, "🙂" * 2000, "x" * 5000):
        windows = provider.windows(text)
        assert len(windows) > 1
        assert all(0 < len(window.encode()) <= 1500 for window in windows)
        assert "".join(windows).replace(" ", "") == text.replace(" ", "")
    assert provider.windows("short") == ["short"]
    assert provider.windows("") == [""]
    provider.close()


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://localhost:8080", "http://localhost:8080/v1/embeddings"),
        ("http://localhost:8080/v1/", "http://localhost:8080/v1/embeddings"),
        ("https://example.com/openai/v1/embeddings", "https://example.com/openai/v1/embeddings"),
        ("https://example.com/v1?api-version=3", "https://example.com/v1/embeddings?api-version=3"),
    ],
)
def test_an_address_may_end_early(given: str, used: str) -> None:
    assert embeddings_url(given) == used


@pytest.mark.parametrize("given", ["", "localhost:8080", "ftp://x/v1", "http://"])
def test_an_address_that_is_none_is_a_configuration_error(given: str) -> None:
    with pytest.raises(ConfigurationError, match="http://"):
        embeddings_url(given)


def test_vectors_without_an_index_stand_in_the_order_of_the_texts(endpoint: Endpoint) -> None:
    def bare(texts: list[str]) -> Answer:
        data = [{"embedding": [float(len(text)), 1.0]} for text in texts]
        return 200, {}, json.dumps({"data": data}).encode()

    endpoint.script = [bare, bare]
    provider = endpoint.provider()
    short, long = provider.embed(["a", "a" * 9], TextKind.DOCUMENT)
    assert short[0] < long[0]
    provider.close()


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "the model `small` is not loaded", "type": "x"}}',
        b'{"error": "the model `small` is not loaded"}',
        b'{"detail": "the model `small` is not loaded"}',
        b'{"object": "error", "message": "the model `small` is not loaded"}',
        b"the model `small`\n   is not loaded",
    ],
)
@pytest.mark.parametrize("code", [400, 401, 404])
def test_an_endpoints_own_words_are_told(endpoint: Endpoint, body: bytes, code: int) -> None:
    endpoint.script = [status(code, body)]
    with pytest.raises(EmbeddingError, match="the model `small` is not loaded"):
        endpoint.provider()


def test_an_endpoints_words_are_bounded_and_hold_neither_the_key_nor_controls(endpoint: Endpoint) -> None:
    endpoint.script = [status(400, json.dumps({"error": f"bad key {KEY} \x1b[31m" + "x" * 5_000}).encode())]
    with pytest.raises(EmbeddingError) as caught:
        endpoint.provider()
    assert KEY not in caught.value.message
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_missing_are_named(
    monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint, name: str
) -> None:
    monkeypatch.setenv(name, "/nowhere/at/all")
    with pytest.raises(ConfigurationError, match=f"{name}: there is no"):
        endpoint.provider()
