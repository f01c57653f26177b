"""Options of the original's `memory server`, turned into settings before anything is loaded."""

from __future__ import annotations

import os

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.environment import value_of

STREAMABLE_PORT = "8765"
"""Where the original's `--streamable-http` listens, and its clients look."""
_WITH_VALUE = {
    "-s": "MCP_MEMORY_STORAGE_BACKEND",
    "--storage-backend": "MCP_MEMORY_STORAGE_BACKEND",
}


def only_settings(arguments: list[str]) -> bool:
    """Whether the options of a server say nothing of the transport: an MCP client with pipes then gets MCP on them."""
    rest = iter(arguments)
    for each in rest:
        name, equals, _ = each.partition("=")
        if name in _WITH_VALUE:
            if not equals and next(rest, None) is None:
                return False
        elif not (each.startswith("-s") and len(each) > 2 and not each.startswith("--")) and each != "--debug":
            return False
    return True


def apply(arguments: list[str]) -> None:
    """Put options that `only_settings` accepts into the environment, where settings and background owners find them."""
    rest = iter(arguments)
    for each in rest:
        name, equals, value = each.partition("=")
        if each == "--debug":
            apply_setting(debug=True)
        elif name in _WITH_VALUE:
            apply_setting(backend=value if equals else next(rest))
        else:
            apply_setting(backend=each[2:])


def apply_setting(*, backend: str | None = None, debug: bool = False) -> None:
    """As the original does: what is given on the command line goes before the environment."""
    if backend is not None:
        os.environ["MCP_MEMORY_STORAGE_BACKEND"] = backend
    if debug:
        os.environ["LOG_LEVEL"] = "DEBUG"


def streamable_address(host: str | None, port: object) -> dict[str, object]:
    """Address of `--streamable-http`: the options, else MCP_SSE_HOST and MCP_SSE_PORT, else the original's port.

    Raises InvalidInputError where the port is none.
    """
    chosen_host = host or value_of("MCP_SSE_HOST")
    text = value_of("MCP_SSE_PORT") or value_of("MCP_HTTP_PORT") or STREAMABLE_PORT
    if port is None:
        if not text.isdecimal() or int(text) > 65535:
            raise InvalidInputError(f"MCP_SSE_PORT={text} is no port: give a whole number from 0 to 65535.")
        port = int(text)
    return {"http_port": port} | ({"http_host": chosen_host} if chosen_host else {})
