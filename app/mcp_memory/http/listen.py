"""The TCP socket: bound before anything else starts, so that a mistake in the address costs nothing and is said plainly."""

from __future__ import annotations

import errno
import ipaddress
import socket

from mcp_memory.config import Settings
from mcp_memory.domain.errors import ConfigurationError

BACKLOG = 2048


def listen(settings: Settings) -> socket.socket:
    """A listening socket on MCP_HTTP_HOST and MCP_HTTP_PORT (0: any free port).

    Raises ConfigurationError where the address can't be had, or would be open to a network without a key.
    """
    host, port = settings.http_host, settings.http_port
    family, address = check_address(settings)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6 and address[0] == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigurationError(_why(error, host, port)) from error
    return sock


def check_address(settings: Settings, *, keyed: bool = False) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Family and address of MCP_HTTP_HOST and MCP_HTTP_PORT, without binding it; `keyed` where a key will be made.

    Raises ConfigurationError where it is none of this machine, or would be open to a network without a key.
    """
    family, address = _resolve(settings.http_host, settings.http_port)
    if not keyed:
        _refuse_open_door(settings, address[0])
    return family, address


def url_of(sock: socket.socket, *, tls: bool = False) -> str:
    """The address as a person types it."""
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{'https' if tls else 'http'}://{host}:{port}"


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationError(f"MCP_HTTP_HOST={host} is not an address of this machine: {error}") from error
    found.sort(key=lambda entry: entry[0] is not socket.AF_INET)  # "localhost" is 127.0.0.1 first
    family, *_, address = found[0]
    return family, (str(address[0]), int(address[1]))


def _refuse_open_door(settings: Settings, address: str) -> None:
    loopback = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    if not loopback and settings.api_key is None and not settings.allow_anonymous_access:
        raise ConfigurationError(
            f"MCP_HTTP_HOST={settings.http_host} is reachable from other machines, and no key is set: "
            "everybody there could read and change the memories.\n"
            "Set MCP_API_KEY (or MCP_API_KEY_FILE), or listen on 127.0.0.1, "
            "or allow it in so many words with MCP_ALLOW_ANONYMOUS_ACCESS=true."
        )


def _why(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"Port {port} on {host} is in use by another program. End that one, or choose another port:\n"
                f"  MCP_HTTP_PORT={port + 1 if port < 65535 else port - 1} memory server"
            )
        case errno.EACCES:
            return f"Port {port} on {host} is reserved for the administrator: set MCP_HTTP_PORT to 1024 or higher."
        case errno.EADDRNOTAVAIL:
            return f"MCP_HTTP_HOST={host} is not an address of this machine: use 127.0.0.1 or 0.0.0.0."
        case _:
            return f"Can't listen on {host}:{port} (MCP_HTTP_HOST, MCP_HTTP_PORT): {error.strerror}"
