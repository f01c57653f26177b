"""What doctor finds, and what the output of commands looks like."""

from __future__ import annotations

import platform
import struct
from pathlib import Path

import pytest

from mcp_memory.cli import checks, installation
from mcp_memory.cli.findings import Verdict
from mcp_memory.cli.output import age, count
from mcp_memory.config import load_settings
from mcp_memory.native import elf_problem
from mcp_memory.owner.identity import identify
from mcp_memory.owner.nearby import older_stores
from mcp_memory.owner.ownership import Ownership
from mcp_memory.owner.record import OwnerKind
from mcp_memory.sizes import size
from mcp_memory.terminal import printable

MACHINE = {"x86_64": 62, "aarch64": 183}[platform.machine()]


def elf(*, bits: int = 64, machine: int = MACHINE) -> bytes:
    return b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9) + struct.pack("<HH", 3, machine)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (elf(), None),
        (elf(bits=32), "ELFCLASS32"),
        (elf(machine=40), "another processor"),
        (b"MZ not an ELF file at all", None),
    ],
)
def test_a_library_for_another_machine_is_found_by_its_header(
    tmp_path: Path, content: bytes, problem: str | None
) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(content)
    found = elf_problem(path)
    assert found is None if problem is None else problem in str(found)


def test_the_libraries_of_this_installation_are_made_for_it() -> None:
    assert installation.native_libraries().verdict is Verdict.OK


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own: nothing of this machine's user is looked at."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MCP_MEMORY_BASE_DIR", str(tmp_path / "base"))
    (tmp_path / "base").mkdir()
    return tmp_path


def test_a_folder_that_others_can_open_is_a_warning_with_its_cure(home: Path) -> None:
    settings = load_settings()
    settings.qdrant_path.mkdir(mode=0o755)
    settings.qdrant_path.chmod(0o755)
    found = {finding.name: finding for finding in checks.folder(settings, identify(settings))}
    assert found["Folder"].verdict is Verdict.WARNING
    assert found["Folder"].advice == f"chmod 0700 {settings.qdrant_path}"
    assert found["Format"].detail == "empty"


def test_a_foreign_folder_fails_and_is_left_as_it_was(home: Path) -> None:
    settings = load_settings()
    settings.qdrant_path.mkdir(mode=0o700)
    (settings.qdrant_path / "letters.txt").write_text("dear diary")
    found = {finding.name: finding for finding in checks.folder(settings, identify(settings))}
    assert found["Format"].verdict is Verdict.FAILED
    assert [entry.name for entry in settings.qdrant_path.iterdir()] == ["letters.txt"]


def test_too_little_space_fails(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_QDRANT_DISK_RESERVE_BYTES", str(10**15))
    settings = load_settings()
    settings.qdrant_path.mkdir(mode=0o700)
    found = {finding.name: finding for finding in checks.folder(settings, identify(settings))}
    assert found["Space"].verdict is Verdict.FAILED


def test_the_owner_is_named_and_none_is_none(home: Path) -> None:
    store = identify(load_settings())
    assert "none" in checks.owner(store).detail
    with Ownership.acquire(store, OwnerKind.SERVER) as ownership:
        assert checks.owner(store).verdict is Verdict.WARNING
        ownership.publish(tcp="http://127.0.0.1:1234")
        assert "http://127.0.0.1:1234" in checks.owner(store).detail
    assert "none" in checks.owner(store).detail


def test_an_old_database_beside_an_empty_store_is_pointed_out_with_the_command(home: Path) -> None:
    settings = load_settings()
    assert older_stores(settings) == []
    database = settings.base_dir / "sqlite_vec.db"
    database.touch()
    (notice,) = older_stores(settings)
    assert f"memory migrate sqlite --source '{database}' --target '{settings.qdrant_path}'" in notice


def test_a_store_of_qdrant_clients_local_mode_and_one_at_the_default_place_are_pointed_out(home: Path) -> None:
    settings = load_settings()
    local = home / "home" / ".local" / "share" / "mcp-memory" / "qdrant"
    (local / "collection").mkdir(parents=True)
    (local / "meta.json").touch()
    assert "qdrant-client's local mode" in older_stores(settings)[0]
    (local / "meta.json").unlink()
    (local / "manifest.json").touch()
    assert f"export MCP_QDRANT_STORAGE_PATH='{local}'" in older_stores(settings)[0]


def test_secrets_and_defaults_are_not_in_the_settings_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    line = checks.settings_given(load_settings()).detail
    assert "OPENAI_API_KEY=(set)" in line
    assert "sk-secret" not in line
    assert "MCP_HTTP_PORT" not in line


def test_relative_key_files_reach_a_background_owner_as_absolute_ones(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    (home / "key").write_text("k")
    monkeypatch.setenv("MCP_API_KEY_FILE", "key")
    store = identify(load_settings())
    assert store.folder == home / "base" / "qdrant"
    assert dict(store.environment)["MCP_MEMORY_BASE_DIR"] == str(home / "base")
    assert dict(store.environment)["MCP_API_KEY_FILE"] == str(home / "key")


def test_only_settings_that_change_answers_change_the_fingerprint(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = identify(load_settings())
    monkeypatch.setenv("MCP_HTTP_PORT", "9999")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    assert identify(load_settings()).fingerprint == before.fingerprint
    for name, value in (("MCP_EMBEDDING_MODEL", "other"), ("MCP_QDRANT_QUANTIZATION_ENABLED", "true")):
        monkeypatch.setenv(name, value)
        assert identify(load_settings()).fingerprint != before.fingerprint
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (7200, "2 h ago"),
        (86_400 * 3, "3 d ago"),
    ],
)
def test_an_age_is_told_in_one_unit(seconds: float, words: str) -> None:
    assert age(1_000_000.0, 1_000_000.0 + seconds) == words


def test_old_and_future_times_are_told_as_dates() -> None:
    assert age(0.0, 1e9).startswith("19")
    assert age(2e9, 1e9).startswith("2033")


def test_sizes_and_numbers_are_told_as_people_read_them() -> None:
    assert [size(999), size(45_000_000), size(7.2e13)] == ["999 B", "45.0 MB", "72.0 TB"]
    assert [count(1), count(12345)] == ["1 memory", "12,345 memories"]


def test_control_characters_are_shown_not_sent() -> None:
    assert printable("a\x1b[2J\x9b\x07\tb\nc") == "a\\x1b[2J\\x9b\\x07\tb\nc"
