"""What routers ask for: the use cases, the settings, and that a request came over the owner's socket."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.types import Scope

from mcp_memory.container import Container
from mcp_memory.memories.service import Memories


def get_container(request: Request) -> Container:
    container = request.app.state.container
    assert isinstance(container, Container)  # noqa: S101  (the lifespan put it there)
    return container


def get_memories(request: Request) -> Memories:
    return get_container(request).memories


def came_over_unix_socket(scope: Scope) -> bool:
    """Whether the connection itself is a Unix socket: from the transport's own address, which no header can change."""
    server = scope.get("server")
    return server is not None and server[1] is None


def require_unix_socket(request: Request) -> None:
    """For the paths under /internal: over TCP they don't exist."""
    if not came_over_unix_socket(request.scope):
        raise HTTPException(404, "Not Found")


ContainerDep = Annotated[Container, Depends(get_container)]
MemoriesDep = Annotated[Memories, Depends(get_memories)]
