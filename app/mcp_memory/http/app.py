"""create_app: the FastAPI application with its middleware, routers and lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeAlias

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from mcp_memory import __version__
from mcp_memory.config import Settings
from mcp_memory.container import Container, open_container
from mcp_memory.http import docs, errors, not_here
from mcp_memory.http.answers import Json
from mcp_memory.http.description import Service
from mcp_memory.http.maintenance import keeping_to_leases
from mcp_memory.http.mcp_endpoint import McpEndpoint
from mcp_memory.http.methods import HeadMiddleware
from mcp_memory.http.middleware.admission import AdmissionMiddleware
from mcp_memory.http.middleware.authentication import AuthenticationMiddleware, Keys
from mcp_memory.http.middleware.body_limit import BodyLimitMiddleware
from mcp_memory.http.middleware.gone import GoneMiddleware
from mcp_memory.http.middleware.hosts import HostsMiddleware, UnaskedMiddleware
from mcp_memory.http.middleware.observe import ObserveMiddleware
from mcp_memory.http.middleware.unread_body import UnreadBodyMiddleware
from mcp_memory.http.routers import (
    analytics,
    backup,
    health,
    manage,
    memories,
    metrics,
    search,
    storage,
    tags,
    transfer,
    updates,
)
from mcp_memory.http.schemas.common import EVERYWHERE
from mcp_memory.loggers import structlog
from mcp_memory.owner.api import router as owner_router
from mcp_memory.owner.gate import OwnerGate, OwnerState
from mcp_memory.owner.nearby import older_stores

log = structlog.stdlib.get_logger("mcp_memory.http")
CLIENT_HEADERS = ("Authorization", "Content-Type", "X-API-Key", "X-Agent-ID", "X-Client-Hostname", "X-Request-ID")
MCP_HEADERS = ("Mcp-Protocol-Version", "Mcp-Session-Id", "Last-Event-ID", "Mcp-Method", "Mcp-Name")
"""What MCP clients in web pages send, and must be allowed to."""
OpenContainer: TypeAlias = Callable[[Settings], AbstractAsyncContextManager[Container]]


def create_app(
    settings: Settings, *, owner: OwnerState | None = None, container: OpenContainer = open_container
) -> FastAPI:
    """The service as an ASGI application. Storage and model are opened by its lifespan, in the process that serves.

    With an `owner` the paths under /internal are served on the Unix socket, and requests wait for maintenance to end.
    """
    mcp = McpEndpoint(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with container(settings) as opened, AsyncExitStack() as stack:
            app.state.container = opened
            app.state.mcp = mcp
            await _point_out_older_stores(settings, opened)
            await stack.enter_async_context(mcp.running(lambda: opened.memories))
            if owner is not None and owner.watches:
                await stack.enter_async_context(keeping_to_leases(owner))
            yield

    app = Service(
        settings,
        title="MCP memory service",
        summary="Semantic memory for AI assistants",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        middleware=_middleware(settings, owner),
        default_response_class=Json,
        generate_unique_id_function=lambda route: route.name,
    )
    errors.install(app)
    for part in (memories, updates, search, tags, storage, manage, analytics, backup):
        app.include_router(part.router, responses=EVERYWHERE)
    app.include_router(health.router)
    app.include_router(health.probes)
    app.include_router(metrics.router)
    app.include_router(docs.router)
    if owner is not None:
        app.state.owner = owner
        app.include_router(owner_router)
        app.include_router(transfer.router)
    app.router.routes.extend(mcp.routes())
    app.router.routes.extend(not_here.routes())
    return app


async def _point_out_older_stores(settings: Settings, container: Container) -> None:
    """Who starts an empty store beside an old one probably wants what is in there."""
    notices = older_stores(settings)
    if notices and not await container.memories.count():
        for notice in notices:
            log.warning(notice)
        container.memories.notices = [f"Note for the user of this memory: {notice}" for notice in notices]


def _middleware(settings: Settings, owner: OwnerState | None) -> list[Middleware]:
    """Outermost first. Preflight requests carry no key, so CORS stands before authentication."""
    layers = [
        Middleware(UnreadBodyMiddleware),
        Middleware(ObserveMiddleware),
        Middleware(HostsMiddleware, allowed_hosts=settings.allowed_hosts, origins=settings.cors_origins),
    ]
    if settings.cors_origins:
        layers.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
                allow_headers=[*CLIENT_HEADERS, *MCP_HEADERS],
                expose_headers=[
                    "X-Request-ID",
                    "Retry-After",
                    "WWW-Authenticate",
                    "Mcp-Session-Id",
                    "Mcp-Protocol-Version",
                ],
            )
        )
    keys = Keys(
        api_key=settings.api_key.get_secret_value() if settings.api_key else None,
        metrics_key=settings.metrics_key.get_secret_value() if settings.metrics_key else None,
        anonymous=settings.allow_anonymous_access,
        anonymous_access=settings.anonymous_scope,
    )
    layers.append(Middleware(AuthenticationMiddleware, keys=keys))
    layers.append(Middleware(UnaskedMiddleware))
    # A body that doesn't arrive must neither take a place nor count as a request in work.
    layers.append(Middleware(BodyLimitMiddleware, limit=settings.http_max_body_bytes))
    if owner is not None:
        layers.append(Middleware(OwnerGate, state=owner))
    layers.append(Middleware(AdmissionMiddleware, limit=settings.http_max_concurrency))
    return [*layers, Middleware(GoneMiddleware), Middleware(HeadMiddleware)]
