"""A key that the service makes for itself where none is given (MCP_GENERATED_KEY_FILE): a container needs no preparation."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from pydantic import SecretStr

from mcp_memory.config import Settings
from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.secret_files import read_secret

KEY_BYTES = 32


def wants_generated_key(settings: Settings) -> bool:
    """No key is given, anonymous access isn't allowed, and there is a place for a key."""
    return settings.api_key is None and not settings.allow_anonymous_access and settings.generated_key_file is not None


def with_generated_key(settings: Settings) -> Settings:
    """The same settings with the kept key, made now (0600, random, 32 bytes) if this is the first start.

    Raises ConfigurationError where it can't be read or written, or is empty: never goes on without one.
    """
    path = settings.generated_key_file
    if path is None or not wants_generated_key(settings):
        return settings
    try:
        if not path.exists():
            _make(path)
    except OSError as error:
        raise ConfigurationError(
            f"MCP_GENERATED_KEY_FILE: no key can be kept in {path}: {error}.\n"
            "Make its folder writable for this user, or give a key with MCP_API_KEY or MCP_API_KEY_FILE."
        ) from error
    try:
        key = read_secret(path)
    except ValueError as error:
        raise ConfigurationError(f"MCP_GENERATED_KEY_FILE: {error}. Remove it, and a new key is made.") from None
    return settings.model_copy(update={"api_key": SecretStr(key)})


def _make(path: Path) -> None:
    """Whole or not at all; of two processes that start at once the first one's counts."""
    handle, part = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)
        except FileExistsError:
            return
    finally:
        os.unlink(part)  # noqa: PTH108 - the name is a string
