"""Logs are one format, on stderr, without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from mcp_memory.config import load_settings
from mcp_memory.logs import configure_logs

KEY = 'quo"ted sécret'


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs(load_settings(api_key=KEY, openai_api_key="sk-1234567", log_format="json"), stream=stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


def test_our_lines_and_those_of_libraries_have_one_format(lines: io.StringIO) -> None:
    structlog.stdlib.get_logger("mcp_memory.x").info("ours", number=1)
    logging.getLogger("somebody").warning("theirs %s", 2)
    ours, theirs = (json.loads(line) for line in lines.getvalue().splitlines())
    assert (ours["message"], ours["level"], ours["number"]) == ("ours", "info", 1)
    assert (theirs["message"], theirs["level"], theirs["logger"]) == ("theirs 2", "warning", "somebody")
    assert ours.keys() >= {"timestamp", "logger"}


def test_context_stands_in_foreign_lines_too(lines: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        logging.getLogger("somebody").warning("inside")
    assert json.loads(lines.getvalue())["request_id"] == "r1"


@pytest.mark.parametrize(
    "text",
    [
        f"the key is {KEY}",
        "Authorization: Bearer abcdef",
        "{'authorization': 'Bearer abcdef'}",
        "[(b'authorization', b'Bearer abcdef')]",
        '{"X-API-Key": "abcdef"}',
        "GET /api/memories?api_key=abcdef&page=2",
        "OPENAI_API_KEY=sk-1234567",
    ],
)
def test_secrets_are_taken_out_of_messages_fields_and_tracebacks(lines: io.StringIO, text: str) -> None:
    log = structlog.stdlib.get_logger("mcp_memory.x")
    log.info(text)
    log.info("field", value=text, nested={"header": text})
    logging.getLogger("somebody").warning("%s", text)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed")
    logged = lines.getvalue()
    assert "[redacted]" in logged
    for secret in ("abcdef", "sk-1234567", KEY, "sécret", 'quo\\"ted'):
        assert secret not in logged
    for line in logged.splitlines():
        json.loads(line)


def test_the_rest_of_a_line_stays(lines: io.StringIO) -> None:
    logging.getLogger("somebody").warning("GET /api/memories?api_key=abcdef&page=2 HTTP/1.1")
    message = json.loads(lines.getvalue())["message"]
    assert message == "GET /api/memories?api_key=[redacted]&page=2 HTTP/1.1"


def test_values_that_json_does_not_know_are_shown(lines: io.StringIO) -> None:
    structlog.stdlib.get_logger("mcp_memory.x").info("odd", value=object, key={1: b"x"}, lone="\ud800")
    assert "odd" in lines.getvalue()
