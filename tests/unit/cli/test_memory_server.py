"""`memory-server`, the original's name for what speaks MCP: its options do what they did there, and none is ignored."""

from __future__ import annotations

import os

import pytest

from mcp_memory import __version__
from mcp_memory.cli import entry


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was started instead of a server: "stdio", or the arguments of `memory`."""
    done: list[str] = []
    monkeypatch.setattr(entry, "stdio", lambda: done.append("stdio"))
    monkeypatch.setattr(entry, "main", lambda: done.extend(entry.sys.argv[1:]))
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    monkeypatch.setenv("MCP_MEMORY_STORAGE_BACKEND", "")
    return done


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(entry.sys, "argv", ["memory-server", *options])
    entry.memory_server()


@pytest.mark.parametrize("options", [["--help"], ["-h"], ["--debug", "--help"]])
def test_help_names_the_options_and_what_to_use_today(
    served: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    run(monkeypatch, *options)
    shown = capsys.readouterr()
    assert not served
    for part in ("MCP Memory Service", "--debug", "--version", "--storage-backend"):
        assert part in shown.out
    assert "deprecated" in shown.err
    assert "memory mcp" in shown.err


def test_the_version_is_told(
    served: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "--version")
    assert not served
    assert capsys.readouterr().out == f"memory {__version__}\n"


def test_without_a_word_on_the_transport_it_speaks_mcp_with_the_settings_given(
    served: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch)
    run(monkeypatch, "--debug", "-s", "sqlite_vec")
    assert served == ["stdio", "stdio"]
    assert (os.environ["LOG_LEVEL"], os.environ["MCP_MEMORY_STORAGE_BACKEND"]) == ("DEBUG", "sqlite_vec")


@pytest.mark.parametrize("options", [["--http"], ["--sse", "--debug"], ["--nope"]])
def test_everything_else_is_the_server_s_to_take_or_refuse(
    served: list[str], monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    run(monkeypatch, *options)
    assert served == ["server", *options]
