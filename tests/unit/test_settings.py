"""Settings mean one thing wherever they stand, and a mistake in one is said with what may stand there."""

from __future__ import annotations

import codecs
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mcp_memory.config import Settings, load_settings, names_of, variables
from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.environment import value_of
from mcp_memory.generated_key import with_generated_key
from mcp_memory.owner.identity import identify
from mcp_memory.zones import system_zone, zone_of


def refusal(monkeypatch: pytest.MonkeyPatch, **given: str) -> str:
    """The message that these variables end the start with."""
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    return caught.value.message


@pytest.mark.parametrize("empty", ["", "  ", "\r", '""', "''"])
def test_an_empty_variable_is_an_unset_one_whichever_it_is(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    unset = load_settings()
    for name in variables() - {"MCP_ANONYMOUS_SCOPE"}:  # set and empty it grants nothing, as in the original
        monkeypatch.setenv(name, empty)
    assert load_settings() == unset


@pytest.mark.parametrize(
    ("name", "written", "field", "meant"),
    [
        ("MCP_QDRANT_STORAGE_PATH", '"/srv/a b"', "storage_path", Path("/srv/a b")),
        ("MCP_MEMORY_BASE_DIR", "'/srv/c'\r", "base_dir", Path("/srv/c")),
        ("MCP_HTTP_PORT", '"8123"', "http_port", 8123),
        ("MCP_EMBEDDING_MODEL", " 'all-MiniLM-L6-v2' ", "embedding_model", "all-MiniLM-L6-v2"),
        (
            "MCP_CORS_ORIGINS",
            '"https://a.example, https://b.example"',
            "cors_origins",
            ["https://a.example", "https://b.example"],
        ),
        ("MCP_TIMEZONE", '"Europe/Berlin"', "timezone", "Europe/Berlin"),
        ("LOG_LEVEL", "debug\r", "log_level", "debug"),
    ],
)
def test_quotes_and_blanks_of_an_environment_file_are_no_part_of_a_value(
    monkeypatch: pytest.MonkeyPatch, name: str, written: str, field: str, meant: object
) -> None:
    monkeypatch.setenv(name, written)
    assert getattr(load_settings(), field) == meant


def test_a_quote_inside_a_value_stays() -> None:
    assert value_of("X", {"X": 'it"s'}) == 'it"s'
    assert value_of("X", {"X": "'a' and 'b'"}) == "a' and 'b"
    assert value_of("X", {"X": '"'}) == '"'


@pytest.mark.parametrize("name", ["BACKEND", "TIMEZONE", "API_KEY", "WORKERS", "COLLECTION", "http_port", "offline"])
def test_a_variable_that_is_only_called_as_a_field_is_not_read(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    unset = load_settings()
    monkeypatch.setenv(name, "no value of ours")
    assert load_settings() == unset


@pytest.mark.parametrize(
    "name", ["MCP_QDRANT_STORAGE_PATH", "MCP_MEMORY_BASE_DIR", "MCP_MEMORY_SQLITE_PATH", "MCP_EMBEDDING_CACHE_DIR"]
)
@pytest.mark.parametrize("relative", ["data", "./data", "../data", "."])
def test_a_relative_folder_is_refused_with_the_absolute_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, relative: str
) -> None:
    monkeypatch.chdir(tmp_path)
    message = refusal(monkeypatch, **{name: relative})
    assert f"{name}: " in message
    assert str(Path(relative).absolute()) in message


@pytest.mark.parametrize("path", ["$NOT_SET_ANYWHERE/data", "${NOT_SET_ANYWHERE}/data", "~nobody-of-this-name/data"])
def test_a_path_that_expands_to_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    assert "write the folder's whole path" in refusal(monkeypatch, MCP_QDRANT_STORAGE_PATH=path)


def test_a_key_file_in_quotes_reaches_a_background_owner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    monkeypatch.setenv("MCP_API_KEY_FILE", f'"{tmp_path / "key"}"')
    assert dict(identify(load_settings()).environment)["MCP_API_KEY_FILE"] == str(tmp_path / "key")


@pytest.mark.parametrize(
    "content",
    [
        b"s3cret",
        b"s3cret\r\n",
        b"  s3cret \t\r\n\r\n",
        codecs.BOM_UTF8 + b"s3cret\r\n",
        "﻿s3cret\r\n".encode("utf-16-le"),
        "﻿s3cret\n".encode("utf-16-be"),
    ],
)
@pytest.mark.parametrize("name", ["MCP_API_KEY_FILE", "MCP_GENERATED_KEY_FILE"])
def test_a_key_file_gives_the_same_key_whatever_an_editor_put_around_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, name: str
) -> None:
    (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv(name, str(tmp_path / "key"))
    key = with_generated_key(load_settings()).api_key
    assert key is not None
    assert key.get_secret_value() == "s3cret"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b" \r\n", "is empty"),
        (b"one\ntwo\n", "more than one line"),
        (b"\xff\x00\xd8", "is not text"),
        (b"a\x00b", "control"),
    ],
)
def test_a_key_file_that_holds_no_key_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, why: str
) -> None:
    (tmp_path / "key").write_bytes(content)
    message = refusal(monkeypatch, MCP_QDRANT_API_KEY_FILE=str(tmp_path / "key"))
    assert "MCP_QDRANT_API_KEY_FILE" in message
    assert why in message


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("hybrid", "memory migrate sqlite --source"),
        ("cloudflare", "memory migrate sqlite --source"),
        ("chroma", "memory migrate sqlite --source"),
        ("ChromaDB", "memory migrate sqlite --source"),
        ("milvus", "memory migrate sqlite --source"),
        ("qdrnt", "did you mean qdrant?"),
        ("postgres", "Use qdrant"),
    ],
)
def test_a_backend_that_is_not_here_is_refused_with_the_next_step(
    monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    assert step in refusal(monkeypatch, MCP_MEMORY_STORAGE_BACKEND=name)


@pytest.mark.parametrize(
    ("written", "meant"), [("sqlite-vec", "sqlite_vec"), ("SQLite", "sqlite_vec"), ("Qdrant", "qdrant")]
)
def test_a_backend_may_be_written_as_people_write_it(monkeypatch: pytest.MonkeyPatch, written: str, meant: str) -> None:
    monkeypatch.setenv("MCP_MEMORY_STORAGE_BACKEND", written)
    assert load_settings().backend == meant


def test_every_number_switch_and_choice_is_refused_with_what_may_stand_there(monkeypatch: pytest.MonkeyPatch) -> None:
    simple = (bool, int, float, int | None)
    for field in Settings.model_fields.values():
        if field.annotation not in simple:
            continue
        (name, *_) = names_of(field)
        with monkeypatch.context() as patch:
            message = refusal(patch, **{name: "seventy"})
        assert name in message
        assert "Give " in message


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("localhost:6333", "write http://localhost:6333"),
        ("qdrant", "write http://qdrant"),
        ("ftp://qdrant:6333", "doesn't begin with http://"),
        ("http://", "names no host"),
        ("http://qdrant:99999", "is not an address"),
        ("http://user:hunter2@qdrant:6333", "MCP_QDRANT_API_KEY"),
        ("http://good:6333,user:hunter2@qdrant", "MCP_QDRANT_API_KEY"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused_without_what_is_secret_in_it(
    monkeypatch: pytest.MonkeyPatch, url: str, why: str
) -> None:
    message = refusal(monkeypatch, MCP_QDRANT_URL=url)
    assert "MCP_QDRANT_URL: " in message
    assert why in message
    assert "hunter2" not in message


@pytest.mark.parametrize("name", ["MCP_EXTERNAL_EMBEDDING_URL", "OPENAI_BASE_URL"])
def test_an_embedding_endpoint_without_a_scheme_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    message = refusal(monkeypatch, **{name: "127.0.0.1:11434/v1"})
    assert f"{name}: 127.0.0.1:11434/v1 doesn't begin with http:// or https://" in message


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("UTC0", 0),
        ("GMT+2", -2),
        ("<+0530>-5:30", 5.5),
        (":Europe/Berlin", 1),
        ("Europe/Berlin", 1),
        ("CET-1CEST,M3.5.0,M10.5.0/3", 1),
        ("Etc/GMT+2", -2),
    ],
)
@pytest.mark.parametrize("quoted", [False, True])
def test_a_zone_of_the_c_library_means_the_same_here(
    monkeypatch: pytest.MonkeyPatch, name: str, hours: float, quoted: bool
) -> None:
    monkeypatch.setenv("TZ", f'"{name}"' if quoted else name)
    assert datetime(2026, 1, 15, tzinfo=system_zone()).utcoffset() == timedelta(hours=hours)
    monkeypatch.setenv("MCP_TIMEZONE", name)
    assert load_settings().timezone == name


def test_a_rule_has_its_summer_time() -> None:
    zone = zone_of("CET-1CEST,M3.5.0,M10.5.0/3")
    assert datetime(2026, 7, 1, tzinfo=zone).utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize("name", ["Mars/Phobos", "foo", "../../etc/passwd", "/etc/hostname", "GMT+"])
def test_a_zone_that_is_none_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TZ", name)
    with pytest.raises(ConfigurationError, match="MCP_TIMEZONE"):
        system_zone()
    assert "MCP_TIMEZONE: " in refusal(monkeypatch, MCP_TIMEZONE=name)


def test_a_misspelt_zone_is_shown_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Did you mean Europe/Berlin?" in refusal(monkeypatch, MCP_TIMEZONE="europe/berlin")


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity", "9" * 400, "9" * 5000])
def test_a_number_that_no_machine_holds_is_refused_by_every_setting(
    monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    numeric = [names_of(field)[0] for field in Settings.model_fields.values() if field.annotation in (int, float)]
    assert len(numeric) > 10
    for name in numeric:
        with monkeypatch.context() as context:
            assert name in refusal(context, **{name: number})
