"""Users and passwords in addresses: refused by the name of what takes a key, or nowhere to be seen."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from mcp_memory.addresses import PROXIES, check_proxies, shown_url, without_userinfo
from mcp_memory.cli.app import app
from mcp_memory.cli.checks import settings_given
from mcp_memory.config import Settings, load_settings, names_of
from mcp_memory.domain.errors import ConfigurationError, EmbeddingError
from mcp_memory.embedding.openai_provider import OpenAIProvider
from mcp_memory.logs import configure_logs

PASSWORD = "hunter2"
ADDRESSES = [
    f"http://user:{PASSWORD}@127.0.0.1:9/v1",
    f"http://{PASSWORD}@127.0.0.1:9",
    f"http://user:{PASSWORD}/@127.0.0.1:9",
    f"http://user:p@{PASSWORD}@127.0.0.1:9",
    f"user:{PASSWORD}@127.0.0.1:9",
    f"https://user:{PASSWORD}@[::1",
]
KEYS = {
    "MCP_QDRANT_URL": "MCP_QDRANT_API_KEY",
    "MCP_EXTERNAL_EMBEDDING_URL": "MCP_EXTERNAL_EMBEDDING_API_KEY",
    "OPENAI_BASE_URL": "OPENAI_API_KEY",
}


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("name", KEYS)
def test_a_setting_that_is_an_address_names_the_one_that_takes_the_key(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    monkeypatch.setenv(name, address)
    with pytest.raises(ConfigurationError, match=KEYS[name]) as refused:
        load_settings()
    assert PASSWORD not in refused.value.message


@pytest.mark.parametrize("address", [ADDRESSES[0], ADDRESSES[1], ADDRESSES[3]])
def test_whichever_setting_it_stands_in_it_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for field in Settings.model_fields.values():
        name = names_of(field)[0]
        with monkeypatch.context() as given:
            given.setenv(name, address)
            try:
                shown = settings_given(load_settings()).detail
            except ConfigurationError as error:
                shown = error.message
        assert PASSWORD not in shown, name


@pytest.mark.parametrize("address", ADDRESSES[:4])
@pytest.mark.parametrize(
    "command",
    [
        "migrate storage --source ADDRESS --target there",
        "migrate storage --source there --target ADDRESS",
        "migrate sqlite --target ADDRESS",
        "migrate sqlite --source ADDRESS",
        "migrate model --old-model a --new-model b --storage ADDRESS",
        "migrate rollback --backup-collection b --storage ADDRESS",
        "migrate prune --storage ADDRESS",
    ],
)
def test_a_command_refuses_it_by_the_name_of_its_option(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, address: str
) -> None:
    monkeypatch.setenv("MCP_MEMORY_BASE_DIR", str(tmp_path))
    words = [address if word == "ADDRESS" else word for word in command.split()]
    done = CliRunner().invoke(app, words)
    message = done.output + (str(done.exception) if done.exception is not None else "")
    assert PASSWORD not in message
    assert words[words.index(address) - 1] in message
    assert "MCP_QDRANT_API_KEY" in message


@pytest.mark.parametrize("name", [*PROXIES, "http_proxy"])
@pytest.mark.parametrize(
    "address", [f"http://user:{PASSWORD}/@127.0.0.1:9", f"ftp://user:{PASSWORD}@host", f"http://u:{PASSWORD} @h:1"]
)
def test_a_proxy_that_cannot_be_used_is_named_and_not_shown(name: str, address: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} is not the address of a proxy") as refused:
        check_proxies({name: address})
    assert PASSWORD not in refused.value.message


def test_a_proxy_may_name_a_user_and_errors_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://user:{PASSWORD}@127.0.0.1:9")
    check_proxies()
    with pytest.raises(EmbeddingError, match="embeddings failed") as failed:
        OpenAIProvider(url="http://endpoint.invalid/v1", model="small", timeout=0.2)
    assert PASSWORD not in failed.value.message


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("via http://u:p@h:1/x and https://v@i, not a@b", "via http://h:1/x and https://i, not a@b"),
        ("http://u:p@q@h/", "http://h/"),
        ("https://h/@cf/model?x=a@b", "https://h/@cf/model?x=a@b"),
    ],
)
def test_users_are_left_out_of_the_addresses_in_a_text(text: str, without: str) -> None:
    assert without_userinfo(text) == without


def test_no_line_of_the_log_shows_one() -> None:
    stream = io.StringIO()
    configure_logs(Settings(log_level="DEBUG"), stream=stream)
    logging.getLogger("httpx").warning("HTTP Request: GET %s", httpx.URL(ADDRESSES[0]))
    assert "http://127.0.0.1:9/v1" in stream.getvalue()
    assert PASSWORD not in stream.getvalue()


@pytest.mark.parametrize("address", [each for each in ADDRESSES if "/@" not in each])
def test_an_address_is_shown_without_them(address: str) -> None:
    assert PASSWORD not in shown_url(address)
