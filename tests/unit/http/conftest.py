"""The real application over a storage in plain Python and an embedder without a model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from embedders import HashEmbedder
from fastapi import FastAPI
from reference_storage import ReferenceStorage

from mcp_memory.config import Settings, load_settings
from mcp_memory.container import Container
from mcp_memory.http.app import create_app
from mcp_memory.storage.base import BaseStorage

Connect = Callable[..., Awaitable[httpx.AsyncClient]]


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[None]:
    async with app.router.lifespan_context(app):
        yield


def application(settings: Settings, storage: BaseStorage) -> FastAPI:
    @asynccontextmanager
    async def container(_: Settings) -> AsyncIterator[Container]:
        opened = Container.assemble(settings, HashEmbedder(), lambda: storage)
        await opened.open()
        yield opened
        await opened.close()

    return create_app(settings, container=container)


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
