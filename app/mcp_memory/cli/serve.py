"""`memory server`, `memory mcp`, `memory owner`, `memory healthcheck`."""

from __future__ import annotations

from typing import Annotated

import typer

from mcp_memory.cli.options import AsJson
from mcp_memory.cli.server_options import apply_setting, streamable_address
from mcp_memory.domain.errors import InvalidInputError


def server(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on (MCP_HTTP_HOST, 127.0.0.1).")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port (MCP_HTTP_PORT, 8000); 0 for any free one.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Worker processes (WEB_CONCURRENCY, 1).")] = None,
    http: Annotated[bool, typer.Option("--http", help="HTTP, even where stdin and stdout are pipes.")] = False,
    stdio: Annotated[bool, typer.Option("--stdio", help="MCP on stdin and stdout, as `memory mcp`.")] = False,
    streamable_http: Annotated[
        bool, typer.Option("--streamable-http", help="HTTP at the original's address for MCP: port 8765, path /mcp.")
    ] = False,
    sse: Annotated[bool, typer.Option("--sse", hidden=True)] = False,
    sse_host: Annotated[str | None, typer.Option(hidden=True)] = None,
    sse_port: Annotated[int | None, typer.Option(min=0, max=65535, hidden=True)] = None,
    http_host: Annotated[str | None, typer.Option(hidden=True)] = None,
    http_port: Annotated[int | None, typer.Option(min=0, max=65535, hidden=True)] = None,
    storage_backend: Annotated[
        str | None, typer.Option("--storage-backend", "-s", help="qdrant or sqlite_vec (MCP_MEMORY_STORAGE_BACKEND).")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="LOG_LEVEL=DEBUG.")] = False,
) -> None:
    """Serve REST and MCP over HTTP.

    The other commands and `memory mcp` use a server that is there.

    Started by an MCP client with pipes on stdin and stdout, and none of these options, it speaks MCP on them.
    """
    apply_setting(backend=storage_backend, debug=debug)
    if sse:
        raise InvalidInputError(
            "The old SSE transport (/sse and /messages) isn't here; MCP over HTTP is its successor, and is at /mcp:  "
            "memory server --streamable-http"
        )
    if stdio and (http or streamable_http):
        raise InvalidInputError("Choose one of --http and --stdio.")
    if stdio:
        mcp()
        return
    from mcp_memory.cli.foreground import serve  # noqa: PLC0415 - the service is heavy, other commands don't need it

    given: dict[str, object] = {"http_host": host or http_host, "workers": workers}
    given["http_port"] = port if port is not None else http_port
    if streamable_http:
        given |= streamable_address(
            sse_host or host or http_host, sse_port if sse_port is not None else given["http_port"]
        )
    raise typer.Exit(serve({name: value for name, value in given.items() if value is not None}))


def mcp() -> None:
    """Speak MCP on stdin and stdout: what an assistant starts."""
    from mcp_memory.cli.bridge import serve_stdio  # noqa: PLC0415

    serve_stdio()


def owner() -> None:
    """Own the store in the background, for clients on this machine alone. Started by them; ends when idle."""
    from mcp_memory.cli.background import own  # noqa: PLC0415

    own()


def healthcheck(*, as_json: AsJson = False) -> None:
    """Ask the HTTP server for its health.

    Ends with 0 when it is healthy, 69 when it isn't or isn't there.
    """
    from mcp_memory.cli.healthcheck import healthcheck as check  # noqa: PLC0415

    raise typer.Exit(check(as_json=as_json))
