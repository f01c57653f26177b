"""A key that is made once, kept for this user alone, and never silently missing."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from mcp_memory.config import Settings, load_settings
from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.generated_key import with_generated_key


def settings(file: Path | None, **given: object) -> Settings:
    return load_settings(generated_key_file=file, **given)


def key(used: Settings) -> str:
    assert used.api_key is not None
    return used.api_key.get_secret_value()


def test_key_is_made_at_the_first_start_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "api-key"
    first = key(with_generated_key(settings(file)))
    assert len(first) >= 43
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key(with_generated_key(settings(file))) == first
    assert list(tmp_path.iterdir()) == [file]


def test_every_installation_has_another_key(tmp_path: Path) -> None:
    assert key(with_generated_key(settings(tmp_path / "a"))) != key(with_generated_key(settings(tmp_path / "b")))


def test_given_key_counts_and_none_is_made(tmp_path: Path) -> None:
    assert key(with_generated_key(settings(tmp_path / "api-key", api_key="given"))) == "given"
    assert not list(tmp_path.iterdir())


def test_anonymous_access_and_a_missing_setting_make_no_key(tmp_path: Path) -> None:
    assert with_generated_key(settings(tmp_path / "api-key", allow_anonymous_access=True)).api_key is None
    assert with_generated_key(settings(None)).api_key is None
    assert not list(tmp_path.iterdir())


def test_empty_key_closes(tmp_path: Path) -> None:
    (tmp_path / "api-key").touch()
    with pytest.raises(ConfigurationError, match="is empty"):
        with_generated_key(settings(tmp_path / "api-key"))


def test_folder_that_is_missing_closes_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="MCP_API_KEY_FILE"):
        with_generated_key(settings(tmp_path / "missing" / "api-key"))


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    found: list[str] = []
    start = threading.Barrier(8)

    def run() -> None:
        start.wait()
        found.append(key(with_generated_key(settings(tmp_path / "api-key"))))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
