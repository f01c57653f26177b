"""What a request may do: everything, or reading only. Decided where keys are checked, asked for where something is changed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

_KEY = "mcp_memory.access"


class Access(StrEnum):
    """What requests without a key may do (MCP_ANONYMOUS_SCOPE)."""

    NONE = "none"
    READ = "read"
    WRITE = "read write"


def access_of(text: str) -> Access:
    """The access that a scope of the original service means: words separated by blanks or commas; no word, or `none`: none.

    Raises ValueError for what can't be kept to here, so that a scope is never wider than it was written.
    """
    words = set(text.lower().replace(",", " ").split())
    if not words or words == {"none"}:
        return Access.NONE
    if words == {"read"}:
        return Access.READ
    if {"read", "write"} <= words <= {"read", "write", "admin"}:
        return Access.WRITE
    raise ValueError(
        "set it to `read`, `read write` or `none`. Scopes of one store (`read:NAME`), and writing without reading, aren't here: "
        "give those callers nothing (`none`), or a service of their own"
    )


def limit_to_reading(scope: Any) -> None:
    """Note at a request (an ASGI scope) that it may change nothing."""
    scope[_KEY] = Access.READ


def may_write(request: object) -> bool:
    """Whether a request may change something. What came over no HTTP request (stdio) may."""
    scope = getattr(request, "scope", None)
    return not isinstance(scope, Mapping) or scope.get(_KEY) is not Access.READ
