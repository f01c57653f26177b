"""What commands print: JSON for programs, plain lines for people; Rich's colours on a terminal only."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_INVISIBLE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""Control characters of a stored text must not drive the terminal that shows it."""
_AGES = ((60, "s"), (3600, "min"), (86_400, "h"), (86_400 * 60, "d"))


def print_json(value: object) -> None:
    """The answer as it came, on one line when piped, indented on a terminal."""
    print(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console  # noqa: PLC0415 - programs that want JSON don't wait for Rich

    stream = sys.stderr if stderr else sys.stdout
    # Piped text isn't wrapped: the next program decides.
    return Console(stderr=stderr, highlight=False, soft_wrap=not stream.isatty(), emoji=False, markup=False)


def printable(text: str) -> str:
    """A stored text as a terminal may show it."""
    return text.encode("utf-8", "backslashreplace").decode().translate(_INVISIBLE)


def print_memories(entries: Sequence[tuple[str, Mapping[str, Any]]], *, whole: bool) -> None:
    """Each memory with what stands before it (a score, or nothing): text, then tags, type and age, then the hash."""
    out = console()
    for number, (score, memory) in enumerate(entries):
        if number:
            out.print()
        out.print(_body(score, str(memory["content"]), whole=whole))
        out.print(_about(memory))


def _body(score: str, content: str, *, whole: bool) -> Text:
    from rich.text import Text  # noqa: PLC0415

    text = printable(content.strip())
    if not whole:
        lines = [line for line in text.splitlines() if line.strip()]
        text = "\n".join(lines[:3]) + (" ..." if len(lines) > 3 else "")
        text = text if len(text) <= 400 else f"{text[:397]}..."
    line = Text()
    if score:
        line.append(f"{score}  ", style="green")
    line.append(text)
    return line


def _about(memory: Mapping[str, Any]) -> Text:
    from rich.text import Text  # noqa: PLC0415

    parts = [age(float(memory["created_at"]))]
    if memory.get("memory_type"):
        parts.append(printable(str(memory["memory_type"])))
    if memory.get("store", "default") != "default":
        parts.append(f"store {printable(str(memory['store']))}")
    line = Text("  ", style="dim")
    if memory.get("tags"):
        line.append(printable(" ".join(f"#{tag}" for tag in memory["tags"])), style="not dim cyan")
        line.append("  ")
    line.append(" · ".join(parts))
    line.append(f"\n  {memory['content_hash']}")
    return line


def age(created: float, now: float | None = None) -> str:
    """`5 min ago`, or the date for what is older than two months."""
    seconds = (time.time() if now is None else now) - created
    before = 1
    for limit, unit in _AGES:
        if 0 <= seconds < limit:
            return f"{int(seconds // before)} {unit} ago"
        before = limit if unit != "h" else 86_400
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(created))


def size(number: float) -> str:
    """Bytes as a person reads them, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def count(number: int, noun: str = "memory", plural: str = "memories") -> str:
    return f"{number:,} {noun if number == 1 else plural}"
