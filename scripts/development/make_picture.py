"""Write docs/search.svg: what a terminal shows when memories are stored and searched, typed for real into a store of its own.

.venv/bin/python scripts/development/make_picture.py docs/search.svg
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

MEMORIES = [
    ("Backups of the Pi go to the NAS every night at two, by restic", "pi,backup"),
    ("Der Zahnarzt ist am 3. März um 9 Uhr", "family"),
    ("We decided against Kafka: nobody wants to run it", "falcon,decision"),
    ("Lena is allergic to walnuts", "family"),
    ("The staging database is restored from last night's dump every Monday", "ops"),
]
COMMANDS: list[tuple[str, list[str]]] = [
    ('store "Deployments happen on Tuesdays" --tag ops', ["store", "Deployments happen on Tuesdays", "--tag", "ops"]),
    ('search "when are the computers saved" -n 1', ["search", "when are the computers saved", "-n", "1"]),
    ('search "what must she not eat" -n 1', ["search", "what must she not eat", "-n", "1"]),
    ("list --tag family", ["list", "--tag", "family"]),
]
COLUMNS = 92
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def shown(memory: str, arguments: list[str], environment: dict[str, str]) -> str:
    """What the command writes to a terminal, colours included."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, COLUMNS))
    with subprocess.Popen([memory, *arguments], stdin=slave, stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        output = b""
        while True:
            try:
                chunk = os.read(master, 4096)
            except OSError:  # Linux's way to say that the other side has closed
                break
            if not chunk:
                break
            output += chunk
    os.close(master)
    if process.returncode:
        sys.exit(f"memory {' '.join(arguments)} ended with {process.returncode}: {output.decode()}")
    return output.decode().replace("\r\n", "\n")


def main() -> None:
    target = Path(sys.argv[1])
    memory = str(Path(sys.executable).with_name("memory"))
    with tempfile.TemporaryDirectory() as base:
        environment = os.environ | {
            "MCP_MEMORY_BASE_DIR": base,
            "COLUMNS": str(COLUMNS),
            "TERM": "xterm-256color",
            "MCP_OWNER_IDLE_SECONDS": "5",
        }
        for text, tags in MEMORIES:
            shown(memory, ["store", text, "--tag", tags], environment)
        console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        for typed, arguments in COMMANDS:
            console.print(Text.assemble(("$ ", "bold green"), f"memory {typed}"))
            console.print(Text.from_ansi(shown(memory, arguments, environment).rstrip()))
        svg = console.export_svg(title="memory", theme=MONOKAI, code_format=FORMAT, unique_id="terminal")
    partial = target.with_suffix(".part")
    partial.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")
    partial.replace(target)


if __name__ == "__main__":
    main()
