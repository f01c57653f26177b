"""Logs: structlog for our own lines, and everybody else's through the same renderer. Always to stderr: stdout may speak MCP.

A console format on a terminal, one JSON object a line otherwise. Secrets never pass: see `Redaction`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from typing import TextIO

import orjson
from structlog.typing import EventDict, Processor

from mcp_memory.addresses import without_userinfo
from mcp_memory.config import LogFormat, Settings
from mcp_memory.loggers import structlog
from mcp_memory.terminal import escaped_json, printable, raw_stream

_TALKATIVE = ("gunicorn.error", "uvicorn.error", "uvicorn.access", "httpx", "httpcore", "mcp", "asyncio", "urllib3")
"""Libraries whose INFO lines tell a user nothing that ours don't; shown with LOG_LEVEL=DEBUG."""
_SHORTEST_SECRET = 4
REDACTED = "[redacted]"
_QUOTE = r"""(?: \\* ["'] )?"""
_CREDENTIAL = re.compile(
    rf"""(?x) (?P<before> (?: (?i: authorization | x-api-key ) {_QUOTE} \s* [:=] \s*
                            | (?i: authorization | x-api-key | api[_-]?key ) \\* ["'] \s* [:=,] \s*
                            | (?: [Aa]pi | api ) [_-]? [Kk]ey \s* [:=] \s*
                            | [A-Z_]* API_KEY = )
                          (?: b? \\* ["'] )? (?: (?i: bearer | basic ) \s+ )? )
         [^\s"'\\,;&)}}\]]+"""
)
"""A header or parameter with its value: as in a request, a dict, a tuple, a URL, an environment. A sentence of ours that names
MCP_API_KEY and goes on with a comma or colon is none."""


class Redaction:
    """Takes known secrets, users of addresses, and whatever stands behind an Authorization or key header, out of a line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= _SHORTEST_SECRET for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        if self._secrets is not None:
            text = self._secrets.sub(REDACTED, text)
        return _CREDENTIAL.sub(rf"\g<before>{REDACTED}", without_userinfo(text))


def _forms(secret: str) -> tuple[str, ...]:
    """A secret as it may stand in a line: as it is, and inside a JSON text."""
    return secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Redacts the finished line, so that no field, message or traceback is forgotten."""

    def __init__(
        self, redaction: Redaction, *, processors: list[Processor], foreign_pre_chain: list[Processor]
    ) -> None:
        super().__init__(processors=processors, foreign_pre_chain=foreign_pre_chain)
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        return self._redaction(super().format(record))


def configure_logs(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send every logger of the process to stderr in one format. Call it once a process; calling again replaces the first."""
    stream = raw_stream(stream or sys.stderr)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    console = settings.log_format is LogFormat.CONSOLE or (settings.log_format is LogFormat.AUTO and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        RedactingFormatter(
            Redaction(secrets_of(settings)),
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(allow=())],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(console, colours=stream.isatty()),
            ],
        )
    )
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def secrets_of(settings: Settings) -> list[str]:
    """The value of every setting that is a secret."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    return [value.get_secret_value() for value in values if hasattr(value, "get_secret_value")]


def _rendering(console: bool, *, colours: bool) -> list[Processor]:
    if console:
        plain = structlog.dev.plain_traceback
        render = structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain, pad_event_to=0)
        return [_short_logger, structlog.processors.format_exc_info, _printable, render]
    return [
        structlog.processors.format_exc_info,
        _one_line,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(serializer=_dump),
    ]


def _short_logger(_: object, __: str, event: EventDict) -> EventDict:
    """On a terminal the logger's name only tells where a foreign line comes from."""
    if str(event.get("logger", "")).startswith("mcp_memory"):
        event.pop("logger")
    return event


def _printable(_: object, __: str, event: EventDict) -> EventDict:
    """Foreign text in a field, message or traceback must not drive the terminal; colours are added behind this."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}


def _one_line(_: object, __: str, event: EventDict) -> EventDict:
    """Messages of several lines are for terminals; in a journal each stands on one."""
    if isinstance(event.get("event"), str):
        event["event"] = one_line(event["event"])
    return event


def one_line(text: str) -> str:
    """Sentences and commands of a message behind each other; a command that goes on after a backslash is joined."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    lines = [line.strip() for line in joined.splitlines() if line.strip()]
    ends = (".", ":", "!", "?", ",", ";")
    return " ".join(
        line if line.endswith(ends) or number == len(lines) else f"{line}." for number, line in enumerate(lines, 1)
    )


def _dump(event: EventDict, **_: object) -> str:
    try:
        line = orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # a lone surrogate, or an integer beyond 64 bits, in what a client sent
        return json.dumps(event, default=repr)
    return escaped_json(line)
