"""Addresses of other services: checked before they are used, and shown without what is secret in them."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


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


def _bare(url: str) -> str:
    return shown_url(url).rpartition("://")[2].lstrip("/") or "HOST:PORT"
