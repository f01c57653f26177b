"""The MCP application on a real socket, over a storage in plain Python: what the tests of /mcp talk to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from embedders import HashEmbedder
from mcp_memory.mcp.app import build_mcp_app
from mcp_memory.memories.service import Memories
from reference_storage import ReferenceStorage


@dataclass(frozen=True)
class McpService:
    url: str
    memories: Memories


@contextmanager
def mcp_service(
    storage: ReferenceStorage | None = None,
    *,
    legacy_names: bool = True,
    list_everything: bool = False,
    get_memories: Callable[[], Memories] | None = None,
) -> Iterator[McpService]:
    """Serves on a free port of loopback until the context ends."""
    memories = Memories(storage or ReferenceStorage(), HashEmbedder())
    app = build_mcp_app(get_memories or (lambda: memories), legacy_names=legacy_names, list_everything=list_everything)
    outer = Starlette(routes=[Route("/mcp", app)], lifespan=lambda _app: app.lifespan())
    server = uvicorn.Server(uvicorn.Config(outer, host="127.0.0.1", port=0, log_level="warning", timeout_keep_alive=60))
    socket = server.config.bind_socket()
    socket.listen()  # uvicorn does so once its thread runs: who is quicker would be refused
    thread = threading.Thread(target=server.run, args=([socket],), name="mcp-service")
    thread.start()
    try:
        yield McpService(f"http://127.0.0.1:{socket.getsockname()[1]}/mcp", memories)
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()
