"""An application on real sockets, TCP and local, with the limits of the service."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from mcp_memory.http.descriptors import ConnectionLimits
from mcp_memory.http.tls import Certificate
from mcp_memory.http.uvicorn_server import Server, uvicorn_options

LIMITS = ConnectionLimits(tcp=64, unix=64, backlog=64)


@dataclass(frozen=True)
class Served:
    """A running server, and where it listens."""

    server: Server
    port: int
    path: str

    async def connect(self, door: str = "tcp") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if door == "unix":
            return await asyncio.open_unix_connection(self.path)
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, request: bytes, door: str = "tcp") -> bytes:
        """All that is answered until the server closes."""
        reader, writer = await self.connect(door)
        try:
            writer.write(request)
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def served(
    app: Any,
    folder: Path,
    *,
    limits: ConnectionLimits = LIMITS,
    tls: Certificate | None = None,
    graceful_seconds: float = 1,
    **protocol: Any,
) -> AsyncIterator[Served]:
    """`protocol`: options of BoundedProtocol."""
    tcp = socket.create_server(("127.0.0.1", 0))
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(folder / "s"))
    options = uvicorn_options(graceful_seconds, limits, tls)
    if protocol:
        options["http"] = partial(options["http"], **protocol)
    config = uvicorn.Config(app, log_config=None, **options | {"lifespan": "off", "timeout_keep_alive": 5})
    up = asyncio.Event()
    server = Server(config, on_ready=up.set)
    running = asyncio.create_task(server.serve(sockets=[tcp, local]))
    await up.wait()
    try:
        yield Served(server, tcp.getsockname()[1], str(folder / "s"))
    finally:
        server.stop()
        await running
