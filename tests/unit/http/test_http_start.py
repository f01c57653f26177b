"""How a start fails, and what the wrappers around the storage let through."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any

import pytest

from mcp_memory.config import load_settings
from mcp_memory.domain.errors import (
    ConfigurationError,
    MemoryServiceError,
    ModelChangedError,
    StorageLockedError,
    StorageUnavailableError,
)
from mcp_memory.http.listen import listen, url_of
from mcp_memory.http.startup import EX_CONFIG, EX_UNAVAILABLE, PlainStartup
from mcp_memory.measured import MeasuredStorage
from mcp_memory.storage.base import BaseStorage

CHANGED = ModelChangedError(
    old_model="all-MiniLM-L6-v2", new_model="text-embedding-ada-002", old_dimensions=384, new_dimensions=1536
)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (CHANGED, EX_CONFIG, f"StorageError: {CHANGED.message}"),
        (ConfigurationError("MCP_X is wrong."), EX_CONFIG, "MCP_X is wrong."),
        (StorageUnavailableError("The engine died."), EX_UNAVAILABLE, "StorageError: The engine died."),
        (StorageLockedError("In use."), EX_UNAVAILABLE, "StorageError: In use."),
    ],
)
async def test_a_failed_start_is_words_and_an_exit_code(
    error: MemoryServiceError, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.failed", "message": "Traceback ..."})
        raise error

    codes: list[int] = []
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await PlainStartup(app, on_failure=codes.append)({"type": "lifespan"}, None, send)  # type: ignore[arg-type]
    assert codes == [code]
    assert sent == [{"type": "lifespan.startup.failed", "message": ""}]
    assert words in capsys.readouterr().out


@pytest.mark.anyio
async def test_a_bug_at_start_keeps_its_traceback() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.failed", "message": "Traceback ..."})
        raise KeyError("x")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(KeyError):
        await PlainStartup(app, on_failure=lambda _: None)({"type": "lifespan"}, None, send)  # type: ignore[arg-type]
    assert sent[0]["message"] == "Traceback ..."


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_open_address_needs_a_key_or_so_many_words(host: str) -> None:
    with pytest.raises(ConfigurationError, match="MCP_ALLOW_ANONYMOUS_ACCESS=true"):
        listen(load_settings(http_host=host, http_port=0))
    listen(load_settings(http_host=host, http_port=0, api_key="long enough")).close()
    listen(load_settings(http_host=host, http_port=0, allow_anonymous_access=True)).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_loopback_needs_none(host: str) -> None:
    with listen(load_settings(http_host=host, http_port=0)) as sock:
        assert url_of(sock).startswith("http://")


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} ") as refused:
            listen(load_settings(http_port=port))
    assert "\n  MCP_HTTP_PORT=" in refused.value.message


@pytest.mark.parametrize("host", ["192.0.2.1", "no such name"])
def test_an_address_of_another_machine_is_named(host: str) -> None:
    with pytest.raises(ConfigurationError, match="MCP_HTTP_HOST"):
        listen(load_settings(http_host=host, http_port=0, api_key="long enough"))


def test_the_stopwatch_wraps_every_method_of_the_contract() -> None:
    public = {name for name, value in vars(BaseStorage).items() if callable(value) and not name.startswith("_")}
    assert public <= vars(MeasuredStorage).keys()


def test_a_server_starts_without_what_only_the_cli_shows() -> None:
    """Rich and Pygments, which structlog would load, are 0.15 s of every start; whoever wants them later gets them."""
    code = (
        "import sys, mcp_memory.http.server, mcp_memory.http.app, mcp_memory.logs;"
        "print(sorted({'rich', 'pygments', 'typer'} & set(sys.modules)));"
        "import rich.console; print(rich.console.Console.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True, timeout=60)
    assert done.stdout.split() == ["[]", "Console"], done.stderr
