"""Nothing that is stored, sent or logged drives the terminal that shows it."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path

import pytest
import structlog

from mcp_memory.cli import output
from mcp_memory.cli.writing import ExportFile
from mcp_memory.config import load_settings
from mcp_memory.logs import Redaction, configure_logs, one_line
from mcp_memory.terminal import Protected, json_text, printable, protect

HOSTILE = "a\x1b[31mred\x9b2J\x7f\x07\u202egnp.exe\u2066x\u2069\u200f\u061c\u2028b\rc"
DRIVING = [character for character in HOSTILE if not character.isprintable()]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drives(text: str) -> list[str]:
    return [character for character in DRIVING if character in text]


def test_what_drives_a_terminal_is_shown_as_an_escape() -> None:
    assert drives(printable(HOSTILE)) == []
    assert printable("\u202e\x9b") == "\\u202e\\x9b"
    assert printable("tab\tand\nline é 👩‍💻") == "tab\tand\nline é 👩‍💻"


def test_json_means_the_same_and_drives_nothing() -> None:
    value = {"content": HOSTILE, HOSTILE: "é"}
    assert json.loads(json_text(value)) == value
    assert drives(json_text(value)) == []


def test_every_print_and_traceback_to_a_terminal_is_protected(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    protect()
    protect()
    print(HOSTILE)
    output.print_json({"a": HOSTILE})
    output.emit((HOSTILE, "green"))
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    assert isinstance(sys.stdout, Protected)
    for text in (out.getvalue(), err.getvalue()):
        assert "\x1b[31mred" not in text
        assert [each for each in drives(text) if each != "\x1b"] == []


def test_a_pipe_gets_texts_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    protect()
    print(HOSTILE)
    assert pipe.getvalue() == f"{HOSTILE}\n"


def test_an_export_to_a_terminal_is_protected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdout", Protected(file))
        monkeypatch.setattr(Protected, "isatty", lambda _: True, raising=False)
        export = ExportFile.open("-", resume=False, total=1)
        export.write(json.dumps({"content": HOSTILE}, ensure_ascii=False).encode() + b"\n", 1)
        export.finish()
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert json.loads(text)["content"] == HOSTILE
    assert drives(text) == []


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_log_line_at_any_level_drives_a_terminal(log_format: str) -> None:
    kept = logging.getLogger().handlers[:], logging.getLogger().level
    stream = Terminal() if log_format == "json" else io.StringIO()
    try:
        configure_logs(load_settings(log_level="DEBUG", log_format=log_format), stream=stream)
        logging.getLogger("httpcore").debug("received %s", HOSTILE)
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            logging.getLogger("mcp").exception("failed: %s", HOSTILE, extra={"header": HOSTILE})
    finally:
        logging.getLogger().handlers[:], level = kept
        logging.getLogger().setLevel(level)
        structlog.reset_defaults()
    assert "gnp.exe" in stream.getvalue()
    assert drives(stream.getvalue()) == []


def test_a_message_of_several_lines_is_one_in_a_journal() -> None:
    text = "Model changed: a → b\nDimensions: 1 → 2\n\nRun:\n  python x.py \\\n    --old-model a"
    assert one_line(text) == "Model changed: a → b. Dimensions: 1 → 2. Run: python x.py --old-model a"


@pytest.mark.parametrize(
    "sentence",
    [
        "Set MCP_API_KEY, or listen on 127.0.0.1, or allow it with MCP_ALLOW_ANONYMOUS_ACCESS=true.",
        "MCP_API_KEY: is set twice",
        "check MCP_EXTERNAL_EMBEDDING_API_KEY, and then the address",
        "needs OPENAI_API_KEY, or MCP_EXTERNAL_EMBEDDING_URL for another endpoint",
        "X-API-Key, or Authorization, is missing",
    ],
)
def test_redaction_takes_no_word_out_of_a_sentence(sentence: str) -> None:
    assert Redaction([])(sentence) == sentence


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer hunter2",
        "Authorization: Basic hunter2",
        "x-api-key: hunter2",
        "{'Authorization': 'Bearer hunter2'}",
        "[(b'x-api-key', b'hunter2')]",
        "?api_key=hunter2&x=1",
        '{"api_key": "hunter2"}',
        "MCP_API_KEY=hunter2",
        "OPENAI_API_KEY=hunter2",
        "apiKey=hunter2",
    ],
)
def test_redaction_takes_every_value_out(line: str) -> None:
    assert "hunter2" not in Redaction([])(line)
