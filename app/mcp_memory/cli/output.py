"""What commands print: JSON for programs, plain lines for people; Rich's colours on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcp_memory.terminal import json_text, printable, raw_stream

if TYPE_CHECKING:
    from rich.console import Console

_AGES = ((60, "s"), (3600, "min"), (86_400, "h"), (86_400 * 60, "d"))


def print_json(value: object) -> None:
    """The answer as it came, on one line when piped, indented on a terminal."""
    print(json_text(value, indent=2 if sys.stdout.isatty() else None))


def ask(question: str) -> str:
    """The answer, without blanks around it; empty where nobody gives one. stdout stays for what a command is asked for."""
    print(question, end=" ", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def agreed(question: str) -> bool:
    """Whether a question is answered with yes."""
    return ask(f"{question} [y/N]").lower() in {"y", "yes"}


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console  # noqa: PLC0415 - on a terminal only: it takes a while to load

    stream = raw_stream(sys.stderr if stderr else sys.stdout)
    return Console(file=stream, highlight=False, emoji=False, markup=False)


def emit(*parts: tuple[str, str], hang: int = 0) -> None:
    """Print a line of (text, style) parts: styled on a terminal, plain and unwrapped elsewhere, where Rich isn't loaded.

    Where a terminal wraps it, the parts of the line that follow are indented by `hang`.
    """
    if not sys.stdout.isatty():
        print("".join(text for text, _ in parts))
        return
    from rich.text import Text  # noqa: PLC0415

    out = console()
    shown = [(printable(text), style) for text, style in parts]
    for number, line in enumerate(Text.assemble(*shown).wrap(out, max(20, out.width - hang))):
        out.print(Text(" " * hang if number else "").append_text(line))


def print_memories(entries: Sequence[tuple[str, Mapping[str, Any]]], *, whole: bool) -> None:
    """Each memory with what stands before it (a score, or nothing): text, then tags, type and age, then the hash."""
    for number, (score, memory) in enumerate(entries):
        if number:
            emit()
        before = f"{score}  " if score else ""
        indent = " " * (len(before) or 2)
        text = _excerpt(str(memory["content"]), whole=whole).replace("\n", "\n" + " " * len(before))
        emit((before, "green"), (text, ""), hang=len(before))
        emit((indent, ""), *_about(memory), hang=len(indent))
        emit((f"{indent}{printable(str(memory['content_hash']))}", "dim"))


def _excerpt(content: str, *, whole: bool) -> str:
    text = printable(content.strip())
    if whole:
        return text
    lines = [line for line in text.splitlines() if line.strip()]
    text = "\n".join(lines[:3]) + (" ..." if len(lines) > 3 else "")
    return text if len(text) <= 400 else f"{text[:397]}..."


def _about(memory: Mapping[str, Any]) -> list[tuple[str, str]]:
    tags = " ".join(f"#{printable(tag)}" for tag in memory["tags"])
    facts = [age(float(memory["created_at"]))]
    if memory.get("memory_type"):
        facts.append(printable(str(memory["memory_type"])))
    if superseded_by := memory.get("metadata", {}).get("superseded_by"):
        facts.append(f"superseded by {printable(str(superseded_by))[:12]}")
    if memory.get("store", "default") != "default":
        facts.append(f"store {printable(str(memory['store']))}")
    return [(f"{tags}  " if tags else "", "cyan"), (", ".join(facts), "dim")]


def age(created: float, now: float | None = None) -> str:
    """`5 min ago`, or the date for what is older than two months."""
    seconds = (time.time() if now is None else now) - created
    before = 1
    for limit, unit in _AGES:
        if 0 <= seconds < limit:
            return f"{int(seconds // before)} {unit} ago"
        before = limit if unit != "h" else 86_400
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(created))


def count(number: int, noun: str = "memory", plural: str = "memories") -> str:
    return f"{number:,} {noun if number == 1 else plural}"
