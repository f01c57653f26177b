"""Commands of the original's `memory`: those that mean something here do it, the others say what to use."""

from __future__ import annotations

import sys
from collections.abc import Mapping

SAME: Mapping[str, tuple[str, ...]] = {
    "status": ("doctor",),
    "check-db": ("doctor",),
    "info": ("stats",),
    "health": ("healthcheck",),
}
"""What the original calls otherwise; options of its own are not carried over."""

INSTEAD: Mapping[str, str] = {
    "logs": (
        "A server writes its log to stderr: see the terminal, journalctl, or the container's log. A background process writes to "
        "owner.log in the storage folder:  memory doctor"
    ),
    "launch": "Start a server with your system's services (docs/operations.md), or in this terminal:  memory server --http",
    "stop": (
        "End a server where it was started (Ctrl-C, systemctl stop, docker stop). A background process ends by itself when it is "
        "idle; who has the store:  memory doctor"
    ),
    "restart": (
        "Restart a server where it was started (systemctl restart, docker restart). A background process ends by itself when it "
        "is idle; who has the store:  memory doctor"
    ),
    "ingest-document": (
        "Documents are not cut up here. Store a text (memory store - < a.txt), or JSON lines of texts:  memory import notes.jsonl"
    ),
    "ingest-directory": (
        "Documents are not cut up here. Store the texts of a folder one by one, or as JSON lines:  memory import notes.jsonl"
    ),
    "list-formats": "Texts and JSON lines are read, documents are not:  memory import notes.jsonl",
}


def translated(arguments: list[str]) -> list[str]:
    """The arguments with a command of the original replaced by ours; --json is kept."""
    if arguments and (same := SAME.get(arguments[0])) is not None and not {"-h", "--help"} & set(arguments):
        return [*same, *(each for each in arguments[1:] if each in {"--json", "--offline"})]
    return arguments


def answer_in_words(command: str) -> None:
    """Say what to use instead, and end with 2."""
    print(f"There is no `memory {command}` here. {INSTEAD[command]}", file=sys.stderr)
    sys.exit(2)
