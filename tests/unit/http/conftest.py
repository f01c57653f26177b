"""Clients of the real application over a storage in plain Python."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from small_application import Connect, application, running

from mcp_memory.config import load_settings
from mcp_memory.http.routers import transfer
from mcp_memory.storage.base import BaseStorage
from reference_storage import ReferenceStorage


@pytest.fixture
def storage() -> BaseStorage:
    return ReferenceStorage()


@pytest.fixture
async def connect(storage: BaseStorage, anyio_backend: str) -> AsyncIterator[Connect]:
    """`await connect(api_key=..., peer=..., unix=...)`: a client of an application with these settings."""
    async with AsyncExitStack() as stack:

        async def connect(
            *, peer: str = "127.0.0.1", unix: bool = False, headers: dict[str, str] | None = None, **settings: Any
        ) -> httpx.AsyncClient:
            app = application(load_settings(**settings), storage)
            if unix:
                app.include_router(transfer.router)  # as where an owner serves its socket
            await stack.enter_async_context(running(app))

            async def from_peer(scope: Any, receive: Any, send: Any) -> None:
                scope["client"], scope["server"] = (peer, 50_000), ("127.0.0.1", 8000)
                if unix:
                    scope["client"], scope["server"] = None, ("/run/owner.sock", None)
                await app(scope, receive, send)

            transport = httpx.ASGITransport(app=from_peer, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://localhost:8000", headers=headers)
            return await stack.enter_async_context(client)

        yield connect


@pytest.fixture
async def client(connect: Connect) -> httpx.AsyncClient:
    """A client on loopback of a service without a key: the newcomer."""
    return await connect()
