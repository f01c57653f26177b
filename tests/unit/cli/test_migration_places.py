"""What people may name as source, target or storage of a migration."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_memory.cli.migration_model import _model_settings
from mcp_memory.cli.migration_places import Place
from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.migration.errors import MigrationRefusedError


def test_a_url_names_a_server_and_its_fragment_the_collection() -> None:
    place = Place.named("https://one:6333/,https://two:6333#notes")
    assert place.on_server
    assert place.settings.collection == "notes"
    assert place.address == "https://one:6333,https://two:6333#notes"


def test_a_url_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigurationError, match="MCP_QDRANT_API_KEY") as refused:
        Place.named("https://user:secret@one:6333#notes")
    assert "secret" not in refused.value.message


def test_a_folder_is_an_embedded_store_whatever_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_QDRANT_URL", "http://elsewhere:6333")
    monkeypatch.setenv("MCP_MEMORY_STORAGE_BACKEND", "sqlite_vec")
    place = Place.named(str(tmp_path / "qdrant"))
    assert (place.address, place.engine, place.on_server) == (str(tmp_path / "qdrant"), "Qdrant", False)


def test_a_database_is_an_sqlite_vec_store_and_has_no_succession(tmp_path: Path) -> None:
    place = Place.named(str(tmp_path / "memories.db"))
    assert (place.address, place.engine) == (str(tmp_path / "memories.db"), "sqlite-vec")
    with pytest.raises(MigrationRefusedError, match="--reembed"):
        place.succession()


def test_without_a_name_it_is_what_the_settings_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_QDRANT_STORAGE_PATH", str(tmp_path / "here"))
    assert Place.named(None).address == str(tmp_path / "here")


def test_path_and_provider_in_the_settings_are_those_of_the_model_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_EMBEDDING_MODEL", "org/new-model")
    monkeypatch.setenv("MCP_EMBEDDING_MODEL_PATH", "/models/new")
    assert _model_settings("new-model") == {"embedding_model": "new-model"}
    other = _model_settings("text-embedding-ada-002")
    assert other["embedding_model"] == "text-embedding-ada-002"
    assert other["embedding_model_path"] is None
