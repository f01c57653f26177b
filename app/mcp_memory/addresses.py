"""Addresses of other services: checked before they are used, and shown without what is secret in them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from mcp_memory.domain.errors import ConfigurationError

_USERINFO = re.compile(r"(?<=://)[^\s/?#@\"'<>]*(?:@[^\s/?#@\"'<>]*)*@")
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
"""Variables of the addresses that httpx and the Hub's client go through, in either case. The only ones that may name a user."""


def checked_url(url: str, *, key: str | None = None) -> str:
    """The address as it was given. Raises ValueError, without showing what is secret in it, where it can't be one.

    `key` names the setting that a user name and password belong into; None where they may stand in the address.
    """
    if key is not None and "@" in url:
        raise ValueError(f"a user name or password in the address would be shown in logs: give the key as {key}")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "://" not in url:
        raise ValueError(f"{shown_url(url)} doesn't begin with http:// or https://: write http://{_bare(url)}")
    try:
        named, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{shown_url(url)} is not an address: {error}") from None
    if not named:
        raise ValueError(f"{shown_url(url)} names no host: write {parts.scheme}://HOST:PORT")
    return url


def shown_url(url: str) -> str:
    """The address without user, password, query and fragment."""
    before, separator, rest = url.rpartition("://")
    if not separator:
        return rest.rpartition("@")[2].partition("?")[0].partition("#")[0]
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{before}://{rest.rpartition('@')[2]}"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def without_userinfo(text: str) -> str:
    """A text with the users and passwords of the addresses in it left out: what a library says of a proxy, a line of a log."""
    return _USERINFO.sub("", text)


def check_proxies(environ: Mapping[str, str] | None = None) -> None:
    """Raises ConfigurationError where a proxy's address can't be used: what a client says of it may hold half of a password."""
    for name, value in (os.environ if environ is None else environ).items():
        if name.upper() in PROXIES and value and not _proxy(value):
            raise ConfigurationError(
                f"{name} is not the address of a proxy: write http://HOST:PORT or, with a user and a password, "
                "http://USER:PASSWORD@HOST:PORT, special characters in them as %XX."
            )


def _proxy(value: str) -> bool:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        return parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0 and " " not in value
    except ValueError:
        return False


def _bare(url: str) -> str:
    return shown_url(url).rpartition("://")[2].lstrip("/") or "HOST:PORT"
