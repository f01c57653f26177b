"""An embedding endpoint on the loopback whose vectors a test chooses, and which counts what it is asked."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np


@dataclass
class FakeEndpoint:
    """Answers `/v1/embeddings`: for each text a vector that depends on it and on `model`."""

    port: int = 0
    dimensions: int = 16
    model: str = "one"
    """Another one gives other vectors."""
    refuses_after: int | None = None
    """Requests from which it answers 503."""
    texts: list[list[str]] = field(default_factory=list)
    """Of each request."""

    def url(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/v1"

    def vector(self, text: str) -> list[float]:
        seed = int.from_bytes(hashlib.sha256(f"{self.model}\n{text}".encode()).digest()[:8], "big")
        return [float(value) for value in np.random.default_rng(seed).standard_normal(self.dimensions)]

    def answer(self, body: dict[str, list[str]]) -> tuple[int, bytes]:
        self.texts.append(body["input"])
        if self.refuses_after is not None and len(self.texts) > self.refuses_after:
            return 503, b'{"error": {"message": "no model is loaded"}}'
        data = [{"index": number, "embedding": self.vector(text)} for number, text in enumerate(body["input"])]
        return 200, json.dumps({"data": data}).encode()


@contextmanager
def fake_endpoint() -> Iterator[FakeEndpoint]:
    endpoint = FakeEndpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, answer = endpoint.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
