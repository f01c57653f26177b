"""`memory key`: the key that clients of this installation's server send."""

from __future__ import annotations

from mcp_memory.cli.options import AsJson
from mcp_memory.cli.output import print_json
from mcp_memory.config import load_settings
from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.generated_key import wants_generated_key, with_generated_key


def key(as_json: AsJson = False) -> None:
    """Print the key that clients send as `Authorization: Bearer KEY`."""
    settings = load_settings()
    path = settings.generated_key_file
    if wants_generated_key(settings) and path is not None:
        if not path.exists():
            raise ConfigurationError(f"There is no key yet: the first `memory server` makes one in {path}.")
        settings = with_generated_key(settings)
    if settings.api_key is None:
        why = (
            "MCP_ALLOW_ANONYMOUS_ACCESS is on: clients need no key."
            if settings.allow_anonymous_access
            else "No key is set (MCP_API_KEY): a server with these settings answers this machine alone, without one."
        )
        raise ConfigurationError(why)
    secret = settings.api_key.get_secret_value()
    if as_json:
        print_json({"api_key": secret})
    else:
        print(secret)
