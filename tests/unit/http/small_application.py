"""The real application over a given storage and an embedder without a model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from embedders import HashEmbedder
from mcp_memory.config import Settings
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
